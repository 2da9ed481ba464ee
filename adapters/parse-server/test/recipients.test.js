'use strict';

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { REACHED, gatewayOf, readDevice, shareMoments } = require('../lib/recipients');

const ROW = {
  objectId: 'o1',
  deviceType: 'android',
  deviceToken: 'f:APA91b',
  pushType: 'gcm',
  appIdentifier: 'com.example.app',
  badge: 3,
  localeIdentifier: 'fr-CA',
  timeZone: 'Europe/Paris',
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-02-01T00:00:00.000Z',
};

const read = (fields, push = { setsBadge: false }) => readDevice({ ...ROW, ...fields }, push);
const counted = deviceType => (typeof deviceType === 'string' ? deviceType : 'other');
const SURROGATE = String.fromCharCode(0xd800);

describe('an installation', () => {
  test('becomes a recipient with what its message depends on', () => {
    const device = read({ channels: ['news'], secret: 'x' });
    assert.deepEqual([device.deviceToken, device.deviceType], ['f:APA91b', 'android']);
    assert.deepEqual(device.recipient, {
      id: 'o1',
      device_type: 'android',
      push_type: 'gcm',
      token: 'f:APA91b',
      app_identifier: 'com.example.app',
      badge: 3,
      locale: 'fr-CA',
      time_zone: 'Europe/Paris',
      registered_at: ROW.updatedAt,
    });
  });

  test('had its token when it was saved last, but for badges of Parse Server', () => {
    assert.equal(read({}).recipient.registered_at, ROW.updatedAt);
    assert.equal(read({}, { setsBadge: true }).recipient.registered_at, ROW.createdAt);
    const date = new Date(ROW.updatedAt);
    for (const updatedAt of [date, { __type: 'Date', iso: ROW.updatedAt }]) {
      assert.equal(read({ updatedAt }).recipient.registered_at, ROW.updatedAt);
    }
  });

  test('of every type that is told as valid is sent to', () => {
    for (const deviceType of REACHED) assert.ok(read({ deviceType }).recipient, deviceType);
  });

  test('of Windows is sent to by its channel, and without one by its token', () => {
    const channelUris = { _Default: 'https://db5.notify.windows.com/?token=x', Tile: 'https://y' };
    const windows = fields => read({ deviceType: 'winrt', ...fields }).recipient;
    const { token, channel_uris: uris } = windows({ channelUris });
    assert.deepEqual([token, uris], [undefined, { _Default: channelUris._Default }]);
    for (const none of [undefined, null, {}, 'text', { _Default: null }, { _Default: '' }]) {
      assert.equal(windows({ channelUris: none }).token, ROW.deviceToken);
    }
    assert.equal(read({ channelUris }).recipient.token, ROW.deviceToken);
  });

  test('that no gateway reaches has an error that says why', () => {
    const cases = [
      [{ deviceType: 'x' }, /^UnknownDeviceType: the deviceType is 'x'; pushsvc has ios, /],
      [{ deviceType: 'expo' }, /^ExpoToken: .*; route them to @parse/],
      [{ deviceType: undefined }, /^UnknownDeviceType: the deviceType is none/],
      [{ deviceType: {} }, /^UnknownDeviceType/],
      [{ deviceToken: undefined }, /^MissingDeviceToken/],
      [{ deviceToken: null }, /^MissingDeviceToken/],
      [{ deviceToken: '' }, /^MissingDeviceToken/],
      [{ deviceToken: 5 }, /^InvalidDeviceToken: deviceToken must be a text$/],
      [{ deviceToken: 'x'.repeat(4_097) }, /^InvalidDeviceToken: .*at most 4096 characters$/],
      [{ deviceToken: `a${SURROGATE}` }, /^InvalidDeviceToken: .*whole characters/],
      [{ deviceToken: 'a\0b' }, /^InvalidDeviceToken: .*no NUL$/],
      [
        { deviceType: 'winrt', channelUris: { _Default: 5 } },
        /^InvalidChannelUri: channelUris\._Default must be a text$/,
      ],
      [{ pushType: 'expo' }, /^ExpoToken: Expo's tokens/],
      [{ deviceToken: 'ExponentPushToken[abc]' }, /^ExpoToken: Expo's tokens/],
      [{ deviceType: 'web', pushType: null, deviceToken: '{"endpoint"' }, /^WebPushSubscription/],
      [{ pushType: 'web', deviceToken: '{"endpoint":""}' }, /^WebPushSubscription/],
    ];
    for (const [fields, told] of cases) {
      const device = read(fields);
      assert.match(device.error, told);
      assert.equal(device.recipient, undefined);
      assert.deepEqual(
        [device.deviceToken, device.deviceType],
        ['deviceToken' in fields ? fields.deviceToken : ROW.deviceToken,
          'deviceType' in fields ? counted(fields.deviceType) : ROW.deviceType],
      );
    }
  });

  test('of a type that Parse Server cannot count by is counted as another', () => {
    const hostile = ['__proto__', 'constructor', 'theconstructor', 'toString', '9', 'a.b', '$x'];
    for (const deviceType of [...hostile, '', 7, null]) {
      const device = read({ deviceType });
      assert.match(device.error, /^UnknownDeviceType/);
      assert.equal(device.deviceType, 'other');
    }
  });

  test('that cannot be read has an error, and not those beside it', () => {
    for (const row of [null, undefined, 'text', 7]) {
      assert.match(readDevice(row, { setsBadge: false }).error, /no object/);
    }
    const fails = { ...ROW, get localeIdentifier() { throw new Error('no'); } };
    const device = readDevice(fails, { setsBadge: false });
    assert.match(device.error, /cannot be read/);
    assert.equal(device.deviceToken, ROW.deviceToken);
  });

  test('is sent to without what is beside its address and is not as it should be', () => {
    const { recipient } = read({
      objectId: 7,
      pushType: {},
      appIdentifier: 'x'.repeat(300),
      badge: 1.5,
      localeIdentifier: SURROGATE,
      timeZone: '',
      updatedAt: 'yesterday',
    });
    for (const appIdentifier of ['x\ny: z', 'x\n', '\x7f']) {
      assert.equal(read({ appIdentifier }).recipient.app_identifier, undefined);
    }
    for (const far of [-8.64e15, -62_198_755_200_000, 8.64e15]) {
      assert.equal(read({ updatedAt: new Date(far) }).recipient.registered_at, undefined);
    }
    const left = Object.entries(recipient).filter(([, value]) => value !== undefined);
    assert.deepEqual(left, [['device_type', 'android'], ['token', ROW.deviceToken]]);
  });
});

test('the gateway of a device follows from its types and its token', () => {
  const cases = [
    [{ deviceType: 'ios', deviceToken: 'ab' }, 'apns'],
    [{ deviceType: 'watchos', deviceToken: 'ab', pushType: 'gcm' }, 'apns'],
    [{ deviceType: 'ios' }, 'fcm'],
    [{ deviceType: 'ios', deviceToken: 'ab', pushType: 'fcm' }, 'fcm'],
    [{ deviceType: 'android', deviceToken: 'ab', pushType: 'ios' }, 'apns'],
    [{ deviceType: 'web' }, 'fcm'],
    [{ deviceType: 'embedded', pushType: 'fcm' }, 'fcm'],
    [{ deviceType: 'winphone' }, 'wns'],
    [{ deviceType: 'winrt', pushType: 'android' }, 'fcm'],
  ];
  for (const [fields, gateway] of cases) {
    assert.equal(gatewayOf(read(fields)), gateway, JSON.stringify(fields));
  }
});

test('devices with one address have the last moment at which it was known', () => {
  const [upper, lower] = ['AB'.repeat(32), 'ab'.repeat(32)];
  const [before, after] = [ROW.createdAt, ROW.updatedAt];
  const devices = [
    [upper, before], [lower, after], [lower, undefined], ['other', before], ['none', undefined],
  ].map(([deviceToken, updatedAt]) => read({ deviceType: 'ios', deviceToken, updatedAt }));
  shareMoments([...devices, read({ deviceType: 'toaster' })]);
  const moments = devices.map(device => device.recipient.registered_at);
  assert.deepEqual(moments, [after, after, after, before, undefined]);
});
