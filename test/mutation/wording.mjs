/**
 * What no mutation run changes, since no test should see it: wording. That is every string with a blank in it (a sentence for people:
 * errors, reasons, what `explain` says), and the strings of a `throw` or of a `find...Fault`, which becomes one.
 */
import { PluginKind, declareValuePlugin } from '@stryker-mutator/api/plugin';

const wording = {
  shouldIgnore(path) {
    if (!path.isStringLiteral() && !path.isTemplateLiteral()) return undefined;
    const texts = path.isStringLiteral() ? [path.node.value] : path.node.quasis.map(({ value }) => value.raw);
    if (texts.some((text) => text.includes(' '))) return 'a sentence';
    if (path.findParent((parent) => parent.isThrowStatement()) !== null) return 'the wording of an error';
    const place = path.findParent((parent) => parent.isFunctionDeclaration());
    return /^find\w*Fault/.test(place?.node.id?.name ?? '') ? 'the wording of a fault' : undefined;
  },
};

export const strykerPlugins = [declareValuePlugin(PluginKind.Ignore, 'wording', wording)];
