// Types of @pushsvc/parse-server-push-adapter.

declare class PushsvcAdapter {
  /**
   * Throws a TypeError that names the option which is wrong. Parse Server hands over the whole
   * `push` of its configuration: what is not named here is left alone.
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
}

declare namespace PushsvcAdapter {
  export interface Options {
    /** Where pushsvc is, such as `https://push.example.com`. */
    serverURL: string;
    /** A key of the app, with the scope `send`. */
    apiKey: string;
    /** What a call may take, its repetitions included, in milliseconds: 60,000. */
    timeoutMs?: number;
    /** `wait` for what came of each device (default), or `accept` and count later. */
    mode?: 'wait' | 'accept';
    /** Calls at a time: 16. Others wait for their turn. */
    connections?: number;
    /** What pushsvc does with messages that may have arrived; its own setting if left out. */
    onUnknown?: 'resend' | 'drop';
    /** Parse Server's REST API, which mode `accept` writes counts to. */
    parse?: ParseOptions;
    [other: string]: unknown;
  }

  export interface ParseOptions {
    /** With its mount, such as `http://localhost:1337/parse`. */
    serverURL: string;
    applicationId: string;
    /** It must be allowed from here: Parse Server's `masterKeyIps`. */
    masterKey: string;
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
    device: { deviceToken?: string; deviceType?: string };
    transmitted: boolean;
    /** `Unregistered` or `NotRegistered` for a dead token; else it begins with `pushsvc: `. */
    response?: { error: string };
  }

  export { PushsvcAdapter, PushsvcAdapter as default };
}

export = PushsvcAdapter;
