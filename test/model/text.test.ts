/** What the model reads and writes as text: addresses, blocks, labels, ports and endpoints, each by a table of both sides. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type AddressText,
  canonicalAddress,
  familyOf,
  formatAddress,
  formatIpv4,
  parseAddress,
} from '../../src/model/address.ts';
import { formatCidr, maskWords, parseCidr } from '../../src/model/cidr.ts';
import { formatWorkload } from '../../src/model/cluster.ts';
import { formatEndpoint, parseEndpoint } from '../../src/model/endpoint.ts';
import type { EndpointRef } from '../../src/model/flow.ts';
import { NAMESPACE_NAME_LABEL, formatRequirement, formatSelector } from '../../src/model/label.ts';
import {
  PORT_PROTOCOLS,
  formatPortMatch,
  formatProtocol,
  hasPorts,
  isPortProtocol,
  parseProtocol,
} from '../../src/model/port.ts';
import { stateAt } from '../../src/model/timeline.ts';

describe('addresses', () => {
  it('are read into words, whatever the words held before', () => {
    const cases: readonly (readonly [string, 4 | 6, readonly number[]])[] = [
      ['0.0.0.0', 4, [0, 0, 0, 0]],
      ['10.20.30.40', 4, [0x0a141e28, 0, 0, 0]],
      ['255.255.255.255', 4, [0xffffffff, 0, 0, 0]],
      ['192.168.100.9', 4, [0xc0a86409, 0, 0, 0]],
      ['::', 6, [0, 0, 0, 0]],
      ['::1', 6, [0, 0, 0, 1]],
      ['1::', 6, [0x10000, 0, 0, 0]],
      ['1:2:3:4:5:6:7:8', 6, [0x10002, 0x30004, 0x50006, 0x70008]],
      ['1:2:3:4:5:6:7::', 6, [0x10002, 0x30004, 0x50006, 0x70000]],
      ['::2:3:4:5:6:7:8', 6, [2, 0x30004, 0x50006, 0x70008]],
      ['2001:DB8::aBcD:0009', 6, [0x20010db8, 0, 0, 0xabcd0009]],
      ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 6, [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff]],
      ['::ffff:10.0.0.1', 4, [0x0a000001, 0, 0, 0]],
      ['0:0:0:0:0:ffff:a00:1', 4, [0x0a000001, 0, 0, 0]],
      ['::ffff:0:10.0.0.1', 6, [0, 0, 0xffff0000, 0x0a000001]],
      ['1::ffff:10.0.0.1', 6, [0x10000, 0, 0xffff, 0x0a000001]],
      ['0:0:1::ffff:10.0.0.1', 6, [0, 0x10000, 0xffff, 0x0a000001]],
      ['1:2:3:4:5:6:10.0.0.1', 6, [0x10002, 0x30004, 0x50006, 0x0a000001]],
      ['::1.2.3.4', 6, [0, 0, 0, 0x01020304]],
      ['1::0.0.0.0', 6, [0x10000, 0, 0, 0]],
    ];
    for (const [text, family, words] of cases) {
      const out = new Uint32Array(4).fill(7);
      assert.equal(parseAddress(text, out), family, text);
      assert.deepEqual([...out], words, text);
    }
  });

  it('are refused where any part is wrong', () => {
    const refused = [
      '',
      '1',
      '1.2.3',
      '1.2.3.',
      '1.2.3.4.',
      '1.2.3.4.5',
      '.1.2.3.4',
      '1..2.3',
      '256.0.0.1',
      '1.2.3.999',

      '01.2.3.4',
      '1.2.3.00',
      '1.2.3.1000',
      '1.2.3.a',
      '1.2.3./',
      '1.2.3.:',
      '1,2,3,4',
      '1.2.3.4 ',
      ' 1.2.3.4',
      '-1.2.3.4',
      ':',
      ':::',
      '1:2',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7:8:',
      ':1:2:3:4:5:6:7:8',
      '1::2::3',
      '::1::',
      '1:2:3:4::5:6:7:8',
      '12345::',
      '::g',
      '::G',
      '::`',
      '::@',
      '::/',
      '1:::2',
      '1:',
      '::1%eth0',
      '[::1]',
      '1-2::',
      '::1.2.3',
      '::1.2.3.256',
      '1.2.3.4::',
      '1:2:3:4:5:6:7:1.2.3.4',
      '::1.2.3.4:5',
      '1:2:3:4:5:10.0.0.1',
      '::.1.2.3',
      '1:2:3:4:5:6:7:8::',
      '::1:2:3:4:5:6:7:8',
      '::01.2.3.4',
      '1::2:',
    ];
    for (const text of refused) {
      assert.equal(parseAddress(text, new Uint32Array(4)), 0, text);
      assert.equal(canonicalAddress(text), undefined, text);
    }
  });

  it('are written in one spelling: RFC 5952, the first longest run of zeros shortened, a lone zero kept', () => {
    const cases: readonly (readonly [string, string])[] = [
      ['10.0.0.1', '10.0.0.1'],
      ['::ffff:1.2.3.4', '1.2.3.4'],
      ['0:0:0:0:0:0:0:0', '::'],
      ['0:0:0:0:0:0:0:1', '::1'],
      ['1:0:0:0:0:0:0:0', '1::'],
      ['2001:0DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
      ['0:0:1:0:0:0:0:1', '0:0:1::1'],
      ['a:b:c:d:e:f:0:0', 'a:b:c:d:e:f::'],
      ['0:0:c:d:e:f:1:2', '::c:d:e:f:1:2'],
      ['1:2:3:4:5:6:7:ffff', '1:2:3:4:5:6:7:ffff'],
    ];
    for (const [text, canonical] of cases) assert.equal(canonicalAddress(text), canonical, text);
    assert.equal(formatIpv4(0xc0a80102), '192.168.1.2');
    assert.equal(formatAddress(0, [1, 2, 3, 4]), '');
    assert.equal(familyOf('1.2.3.4' as AddressText), 4);
    assert.equal(familyOf('::1' as AddressText), 6);
    assert.equal(familyOf('1::' as AddressText), 6);
  });
});

it('dotted decimal is four numbers up to 255, without zeros ahead or anything else', () => {
  const good = Array.from({ length: 256 }, (_, number) => String(number));
  const bad = [
    '',
    '00',
    '000',
    '01',
    '001',
    '010',
    '099',
    '0255',
    '256',
    '260',
    '299',
    '300',
    '999',
    '1000',
    '2550',
    '-1',
    '+1',
    ' 1',
    '1 ',
    '1e1',
    '0x1',
    '1.',
    '.1',
    // Anything but a digit, at each place of numbers of each length.
    ...['7', '42', '142', '199', '230', '255'].flatMap((number) =>
      [...number].flatMap((_, at) =>
        ['/', ':', 'a', ' '].map((other) => number.slice(0, at) + other + number.slice(at + 1)),
      ),
    ),
  ];
  for (const place of [0, 1, 2, 3]) {
    const textOf = (part: string): string => ['9', '80', '107', '213'].with(place, part).join('.');
    for (const part of good) assert.equal(canonicalAddress(textOf(part)), textOf(part));
    for (const part of bad) assert.equal(canonicalAddress(textOf(part)), undefined, textOf(part));
  }
});

describe('blocks', () => {
  it('have a length of digits alone', () => {
    for (const length of ['8', '08', '008', '32'])
      assert.equal(parseCidr(`10.0.0.0/${length}`)?.length, Number(length));
    for (const length of ['', '0008', '33', '/8', '8/', ':', '1:', ':1', '1/', '1a', 'a', '-8', '+8', ' 8', '8 ', '.8'])
      assert.equal(parseCidr(`10.0.0.0/${length}`), undefined, length);
    for (const text of ['', '/', '/8', '8', '10', '10.0.0.0', '::1', '::'])
      assert.equal(parseCidr(text), undefined, text);
  });

  it('are read with their host bits cleared, for every length at a boundary', () => {
    const cases: readonly (readonly [string, 4 | 6, readonly number[], number])[] = [
      ['255.255.255.255/0', 4, [0, 0, 0, 0], 0],
      ['255.255.255.255/1', 4, [0x80000000, 0, 0, 0], 1],
      ['10.1.2.3/8', 4, [0x0a000000, 0, 0, 0], 8],
      ['10.1.2.3/31', 4, [0x0a010202, 0, 0, 0], 31],
      ['10.1.2.3/32', 4, [0x0a010203, 0, 0, 0], 32],
      ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/33', 6, [0xffffffff, 0x80000000, 0, 0], 33],
      ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/64', 6, [0xffffffff, 0xffffffff, 0, 0], 64],
      ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/95', 6, [0xffffffff, 0xffffffff, 0xfffffffe, 0], 95],
      ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127', 6, [0xffffffff, 0xffffffff, 0xffffffff, 0xfffffffe], 127],
      ['::1/128', 6, [0, 0, 0, 1], 128],
    ];
    for (const [text, family, first, length] of cases) {
      const block = parseCidr(text);
      assert.deepEqual(block && { ...block, first: [...block.first] }, { family, first, length }, text);
    }
    const words = new Uint32Array([1, 2, 3, 4]);
    maskWords(words, 64);
    assert.deepEqual([...words], [1, 2, 0, 0]);
  });

  it('are refused without a length, and beyond the family', () => {
    for (const text of [
      '',
      '10.0.0.0',
      '10.0.0.0/',
      '10.0.0.0/33',
      '::/129',
      '10.0.0.0/-1',
      '10.0.0.0/8x',
      '10.0.0.0/x8',
      'x/8',
      '/8',
      '::/1000',
      '10.0.0.0/8/8',
      '10.0.0.0/0008',
      '10.0.0.0/ 8',
    ])
      assert.equal(parseCidr(text), undefined, text);
    assert.equal(formatCidr(4, [0x0a000000], 8), '10.0.0.0/8');
    assert.equal(formatCidr(6, [0x20010db8, 0, 0, 0], 32), '2001:db8::/32');
  });
});

describe('labels, ports and workloads', () => {
  it('are written as kubectl writes them', () => {
    assert.equal(NAMESPACE_NAME_LABEL, 'kubernetes.io/metadata.name');
    assert.equal(formatSelector([]), '<all>');
    assert.equal(
      formatSelector([
        { key: 'app', operator: 'In', values: ['web'] },
        { key: 'tier', operator: 'In', values: ['a', 'b'] },
        { key: 'env', operator: 'NotIn', values: ['dev'] },
        { key: 'zone', operator: 'NotIn', values: ['x', 'y'] },
        { key: 'role', operator: 'Exists', values: [] },
      ]),
      'app=web,tier in (a,b),env!=dev,zone notin (x,y),role',
    );
    assert.equal(formatRequirement({ key: 'old', operator: 'DoesNotExist', values: [] }), '!old');
    assert.equal(formatWorkload({ namespace: 'shop', kind: 'Deployment', name: 'web' }), 'shop/Deployment/web');
  });

  it('name protocols by their number, and read every usual spelling', () => {
    assert.deepEqual(PORT_PROTOCOLS, { TCP: 6, UDP: 17, SCTP: 132 });
    const names: readonly (readonly [number, string])[] = [
      [1, 'ICMP'],
      [6, 'TCP'],
      [17, 'UDP'],
      [58, 'ICMPv6'],
      [132, 'SCTP'],
      [255, 'unknown'],
      [47, '47'],
    ];
    for (const [number, name] of names) assert.equal(formatProtocol(number), name);
    const spellings: readonly (readonly [string, number | undefined])[] = [
      ['tcp', 6],
      ['TCP', 6],
      ['Udp', 17],
      ['sctp', 132],
      ['icmp', 1],
      ['ICMPv4', 1],
      ['icmpv6', 58],
      ['icmp6', 58],
      ['ipv6-icmp', 58],
      ['0', 0],
      ['47', 47],
      ['254', 254],
      ['255', undefined],
      ['256', undefined],
      ['1000', undefined],
      ['', undefined],
      ['6x', undefined],
      ['x6', undefined],
      ['-6', undefined],
      ['http', undefined],
    ];
    for (const [text, number] of spellings) assert.equal(parseProtocol(text), number, text);
  });

  it('write port matches as people do', () => {
    assert.equal(formatPortMatch({ kind: 'any', protocol: 'UDP' }), 'UDP');
    assert.equal(formatPortMatch({ kind: 'range', protocol: 'TCP', first: 80, last: 80 }), 'TCP/80');
    assert.equal(formatPortMatch({ kind: 'range', protocol: 'TCP', first: 80, last: 90 }), 'TCP/80-90');
    assert.equal(formatPortMatch({ kind: 'named', protocol: 'SCTP', name: 'sig' }), 'SCTP/sig');
    assert.equal(formatPortMatch({ kind: 'named', protocol: undefined, name: 'web' }), 'web');
  });
});

describe('endpoints', () => {
  it('are read in every form, and written so that they are read back', () => {
    const cases: readonly (readonly [string, EndpointRef, string?])[] = [
      ['10.0.0.1', { kind: 'address', address: '10.0.0.1' as AddressText }],
      ['  ::1 ', { kind: 'address', address: '::1' as AddressText }, '::1'],
      ['web', { kind: 'name', namespace: 'home', name: 'web' }, 'home/web'],
      ['shop/web', { kind: 'name', namespace: 'shop', name: 'web' }],
      ['shop/web.old', { kind: 'name', namespace: 'shop', name: 'web.old' }],
      ['shop/Deployment/web', { kind: 'workload', namespace: 'shop', workloadKind: 'Deployment', name: 'web' }],
      ['web.shop', { kind: 'service', namespace: 'shop', name: 'web' }],
      ['web.shop.svc', { kind: 'service', namespace: 'shop', name: 'web' }, 'web.shop'],
      ['web.shop.svc.cluster.local', { kind: 'service', namespace: 'shop', name: 'web' }, 'web.shop'],
      ['1a.2', { kind: 'service', namespace: '2', name: '1a' }],
      ['1.2a', { kind: 'service', namespace: '2a', name: '1' }],
    ];
    for (const [text, ref, written] of cases) {
      assert.deepEqual(parseEndpoint(text, 'home'), ref, text);
      assert.equal(formatEndpoint(ref), written ?? text);
      assert.deepEqual(parseEndpoint(formatEndpoint(ref), 'elsewhere'), ref);
    }
  });

  it('are refused where they are none of these', () => {
    for (const text of [
      '',
      '  ',
      'a b',
      'a/b c',
      'a:80',
      'shop/',
      '/web',
      'a//b',
      'a/b/c/d',
      '1.2',
      '10.0.0.300',
      'a.b.c',
      'web.shop.svc.cluster',
      'web.shop.svc.x',
      '.shop',
      'web.',
      'x.web.shop.svc',
    ])
      assert.equal(parseEndpoint(text, 'home'), undefined, text);
  });
});

it('rules name ports of TCP, UDP and SCTP; those of UDP-Lite tell connections apart as well', () => {
  const numbers = Array.from({ length: 256 }, (_, number) => number);
  assert.deepEqual(numbers.filter(isPortProtocol), [6, 17, 132]);
  assert.deepEqual(numbers.filter(hasPorts), [6, 17, 132, 136]);
});

it('a state of the cluster holds from its time on, the first one before that too', () => {
  for (const fromUs of [[-Infinity], [5], [-Infinity, 5], [1, 2, 3], [0, 10, 20, 30, 40, 50, 60]])
    for (let timeUs = -1; timeUs <= 61; timeUs++)
      assert.equal(
        stateAt({ fromUs }, timeUs),
        Math.max(
          0,
          fromUs.findLastIndex((from) => from <= timeUs),
        ),
        `${timeUs} in ${fromUs.join()}`,
      );
});
