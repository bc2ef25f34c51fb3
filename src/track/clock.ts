/**
 * The clock of connection tracking: times of records -> ticks that never run back (CT-06). One clock serves one order of
 * records; where a replay is split over threads, whoever hands out the rows keeps it, so that each thread sees the ticks
 * that one thread would have seen.
 */

/** Units of the clock. */
export const enum Tick {
  /** CT-06: the clock counts in steps of 10 ms. */
  Us = 10_000,
  PerSecond = 100,
  /** CT-06: a greater step back begins anew where the clock stands. */
  Back = 6_000,
  /** The clock is set back before it leaves the range of small integers: after 124 days. */
  Highest = 0x3fff_ffff,
}

/** Numbers that the kernel goes on with: what `advance` does within a tick, and where time moves on. */
export const enum ClockState {
  /** Time of tick 0; NaN: there was no time yet. */
  EpochUs = 0,
  /** The times that fall into the tick. */
  FromUs = 1,
  ToUs = 2,
  Tick = 3,
  Count = 4,
}

/** Where a tracker has its ticks from. */
export interface TickSource {
  /** Ticks by which the clock has been set back so far: what was kept as a tick has to follow. */
  readonly setBack: number;
  /** The tick of the next record, whose time is given in microseconds. */
  advance(timeUs: number): number;
}

/** Time as ticks since the first record. */
export class Clock implements TickSource {
  tick = 0;
  setBack = 0;
  /** How often the clock began anew because a record was more than `Tick.Back` older than the clock: input that is not in the order of time. */
  turnsBack = 0;
  private epochUs = NaN;
  /** The times that fall into `tick`. */
  private fromUs = NaN;
  private toUs = NaN;

  /** A time of NaN leaves the clock where it is. */
  advance(timeUs: number): number {
    // Most records fall into the tick of the one before.
    if (!(timeUs >= this.fromUs && timeUs < this.toUs)) this.move(timeUs);
    return this.tick;
  }

  /**
   * Sets the clock back now, if it would be before it has come to a time: whoever sees a part of the rows until then need not know at which of them.
   */
  prepare(untilUs: number): void {
    if (!(untilUs - this.epochUs > Tick.Highest * Tick.Us)) return;
    this.setBack += this.tick;
    this.epochUs += this.tick * Tick.Us;
    this.tick = 0;
    this.fromUs = this.epochUs;
    this.toUs = this.fromUs + Tick.Us;
  }

  /** Writes what `readState` reads. */
  writeState(state: Float64Array): void {
    state[ClockState.EpochUs] = this.epochUs;
    state[ClockState.FromUs] = this.fromUs;
    state[ClockState.ToUs] = this.toUs;
    state[ClockState.Tick] = this.tick;
  }

  /** Goes on where the kernel has left the clock. */
  readState(state: Float64Array): void {
    this.fromUs = state[ClockState.FromUs]!;
    this.toUs = state[ClockState.ToUs]!;
    this.tick = state[ClockState.Tick]! | 0;
  }

  private move(timeUs: number): void {
    // NaN and infinities say nothing.
    if (timeUs - timeUs !== 0) return;
    if (this.epochUs !== this.epochUs) this.epochUs = timeUs;
    const tick = Math.floor((timeUs - this.epochUs) / Tick.Us);
    if (tick > Tick.Highest) {
      this.setBack += tick;
      this.epochUs += tick * Tick.Us;
      this.tick = 0;
    } else if (tick >= this.tick) this.tick = tick | 0;
    else if (tick < this.tick - Tick.Back) {
      this.turnsBack++;
      this.epochUs = timeUs - this.tick * Tick.Us;
    } else return;
    this.fromUs = this.epochUs + this.tick * Tick.Us;
    this.toUs = this.fromUs + Tick.Us;
  }
}
