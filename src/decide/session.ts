/** The compiled engine under the contract that every evaluator keeps. */
import { compile } from '../compile/compile.ts';
import type { Evaluator } from '../model/evaluator.ts';
import { judge } from './judge.ts';

/** The engine: compile once, then decide. */
export const engine: Evaluator = {
  name: 'engine',
  load({ snapshot, policies, dialect }) {
    const program = compile(snapshot, policies, dialect);
    return { judge: (flow) => judge(program, flow) };
  },
};
