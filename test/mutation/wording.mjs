/**
 * What no mutation run changes, since no test should see it: wording. That of errors, which are the strings of a `throw` and those that
 * a `find...Fault` returns (a Program's fault, which becomes such an error), and the sentences of the tables of reasons and facts.
 */
import { PluginKind, declareValuePlugin } from '@stryker-mutator/api/plugin';

const wording = {
  shouldIgnore(path) {
    if (!path.isStringLiteral() && !path.isTemplateLiteral()) return undefined;
    if (path.parentPath.isObjectProperty() && path.parent.key.name === 'condition') return 'the sentence of a reason';
    if (path.parentPath.isObjectProperty() && path.parent.key.name === 'text' && hasBit(path.parentPath.parent))
      return 'the sentence of a missing fact';
    if (path.findParent((parent) => parent.isThrowStatement()) !== null) return 'the wording of an error';
    const place = path.findParent((parent) => parent.isFunctionDeclaration());
    if (/^find\w*Fault/.test(place?.node.id?.name ?? '') && path.findParent((parent) => parent.isReturnStatement()))
      return 'the wording of a fault';
    return undefined;
  },
};

function hasBit(object) {
  return object.properties.some(({ key }) => key?.name === 'bit');
}

export const strykerPlugins = [declareValuePlugin(PluginKind.Ignore, 'wording', wording)];
