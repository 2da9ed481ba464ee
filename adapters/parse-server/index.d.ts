// Types of @pushsvc/parse-server-push-adapter.

declare class PushsvcAdapter {
  /**
   * Throws a TypeError that names the option which is wrong. Parse Server hands over the whole
   * `push` of its configuration: what is not named here is left alone, unless it is a known name in
   * another case.
   */
  constructor(options: PushsvcAdapter.Options);

  /** Device types that pushsvc delivers to. */
  getValidPushTypes(): string[];

  /**
   * Deliver one content to these installations. Never throws, never rejects. One row for each
   * installation; in mode `accept` for those only that pushsvc has not accepted.
   */
  send(
    body: Record<string, unknown>,
    installations: ReadonlyArray<PushsvcAdapter.Installation>,
    pushStatusId?: string,
  ): Promise<PushsvcAdapter.Row[]>;

  /** Close connections and timers, where the adapter was made by hand. Calls under way fail. */
  close(): void;

  /**
   * Send what Parse Server stores with `scheduledPush: true`, when it is due, until it is stopped.
   * Several may do so at once. Throws a TypeError that names the option which is wrong.
   */
  static runScheduled(options: PushsvcAdapter.ScheduledOptions): PushsvcAdapter.Scheduled;
}

declare namespace PushsvcAdapter {
  /** Mode `accept` writes counts to Parse Server, and so has to reach it. */
  export type Options = WaitOptions | AcceptOptions;

  export interface WaitOptions extends CommonOptions {
    /** `send` resolves with what came of each device. The default. */
    mode?: 'wait';
    /** Not needed in this mode. */
    parse?: ParseOptions;
  }

  export interface AcceptOptions extends CommonOptions {
    /** `send` resolves when the call is stored; counts come later. */
    mode: 'accept';
    /** Parse Server's REST API, which counts are written to. */
    parse: ParseOptions;
  }

  export interface CommonOptions {
    /** Where pushsvc is, such as `https://push.example.com`. */
    serverURL: string;
    /** A key of the app, with the scope `send`. */
    apiKey: string;
    /** What a call may take, its repetitions included, in milliseconds: 60,000. */
    timeoutMs?: number;
    /** Calls at a time: 16. Others wait for their turn. */
    connections?: number;
    /** What pushsvc does with messages that may have arrived: `resend` if left out. */
    onUnknown?: 'resend' | 'drop';
    [other: string]: unknown;
  }

  export interface ParseOptions {
    /** With its mount, such as `http://localhost:1337/parse`. */
    serverURL: string;
    applicationId: string;
    /** It must be allowed from here: Parse Server's `masterKeyIps`. */
    masterKey: string;
  }

  export interface ScheduledOptions {
    /** Where pushsvc is, such as `https://push.example.com`. */
    serverURL: string;
    /** A key of the app, with the scope `send`. */
    apiKey: string;
    /** Parse Server's REST API, where pushes and installations are. */
    parse: ParseOptions;
    /** Milliseconds between looks for pushes: 5,000. */
    pollMs?: number;
    /** What was due so many milliseconds ago is not sent: 86,400,000. */
    lateMs?: number;
    /** When a runner that does nothing is taken to be dead, in milliseconds: 120,000. */
    leaseMs?: number;
    /** Installations of a page: 1,000, at most 5,000. */
    pageSize?: number;
    /** What a call of pushsvc may take, its repetitions included, in milliseconds: 20,000. */
    timeoutMs?: number;
    /** What pushsvc does with messages that may have arrived: `resend` if left out. */
    onUnknown?: 'resend' | 'drop';
    /** Do what is due, and end. */
    once?: boolean;
    /** Left out: one line each on standard error. */
    log?(level: 'info' | 'error', message: string): void;
  }

  export interface Scheduled {
    /** Resolves when nothing is under way any more, within some two seconds. */
    stop(): Promise<void>;
    /** When it has ended; false where something that was due could not be done. */
    done: Promise<boolean>;
  }

  /** An installation as Parse's REST API has it; other fields are not looked at. */
  export interface Installation {
    objectId?: string;
    deviceType?: string;
    deviceToken?: string;
    pushType?: string;
    channelUris?: Record<string, string>;
    appIdentifier?: string;
    badge?: number;
    localeIdentifier?: string;
    timeZone?: string;
    createdAt?: string;
    updatedAt?: string;
    [other: string]: unknown;
  }

  export interface Row {
    /** The installation's own; `other` for a type that Parse Server's counts cannot have as key. */
    device: { deviceToken?: string; deviceType: string };
    transmitted: boolean;
    /** `Unregistered` or `NotRegistered` for a dead token; else `pushsvc: <reason>: <what to do>`. */
    response?: { error: string };
  }

  export { PushsvcAdapter, PushsvcAdapter as default };
}

export = PushsvcAdapter;
