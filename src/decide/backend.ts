/**
 * Backends with their addresses. The Program's service table keeps the endpoint and port of each backend, which is all that
 * decide asks for; one endpoint stands for many outside addresses, so that explain, which asks the policies themselves,
 * finds the address here. Sits between the Program and explain.
 */
import { ServiceSlot } from '../compile/layout.ts';
import { PROTOCOL_ORDINAL } from '../compile/port.ts';
import type { Program } from '../compile/program.ts';
import { type Backend, type FlowFamily, indexServices, listServices, type ServiceIndex } from '../compile/service.ts';
import type { AddressText } from '../model/address.ts';
import type { Service } from '../model/cluster.ts';
import { endpointOfAddress, placePod } from './resolve.ts';

/** Where translated traffic arrives; `address` undefined: the pod has none. */
export interface BackendPlace {
  readonly endpoint: number;
  readonly address: AddressText | undefined;
  readonly port: number;
}

/** The backends of a slot of the service table, in its order. */
export function backendsOf(program: Program, slot: number): readonly BackendPlace[] {
  const at = slot * ServiceSlot.Stride;
  const { serviceSlots } = program;
  const entry = indexOf(program).entries.get(
    slotKey(serviceSlots[at + ServiceSlot.Target]!, serviceSlots[at + ServiceSlot.Port]!),
  )!;
  return entry.backends.map((backend) => placeBackend(program, backend, entry.family));
}

/** The pods of a headless Service, on the port that the flow asks for. */
export function headlessMembers(
  program: Program,
  service: Service,
  family: FlowFamily,
  port: number,
): readonly BackendPlace[] {
  return indexOf(program)
    .services.members(service, family, port)
    .map((member) => placeBackend(program, member, family));
}

function placeBackend(program: Program, { pod, address, port }: Backend, family: FlowFamily): BackendPlace {
  const place =
    pod === undefined ? { endpoint: endpointOfAddress(program, address!), address } : placePod(program, pod, family);
  return { ...place, port };
}

interface BackendIndex {
  readonly services: ServiceIndex;
  /** By slot of the service table, as `slotKey` spells it. */
  readonly entries: ReadonlyMap<string, { readonly family: FlowFamily; readonly backends: readonly Backend[] }>;
}

const indexes = new WeakMap<Program, BackendIndex>();

function indexOf(program: Program): BackendIndex {
  let index = indexes.get(program);
  if (index === undefined) indexes.set(program, (index = buildIndex(program)));
  return index;
}

function buildIndex(program: Program): BackendIndex {
  const { snapshot, dialect } = program.source;
  const entries = new Map<string, { family: FlowFamily; backends: readonly Backend[] }>();
  for (const { targets, family, protocol, port, backends } of listServices(snapshot, dialect, (address) =>
    endpointOfAddress(program, address),
  ))
    for (const target of targets) {
      const key = slotKey(target >>> 0, ((PROTOCOL_ORDINAL[protocol] << 16) | port) >>> 0);
      // SV-06, as in the table: the first keeps it.
      if (!entries.has(key)) entries.set(key, { family, backends });
    }
  return { services: indexServices(snapshot), entries };
}

function slotKey(target: number, port: number): string {
  return `${target},${port}`;
}
