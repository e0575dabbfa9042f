/**
 * Taking completions: VS Code's own commands under ingle's names, and word to the server of what was taken or refused.
 *
 * Knows VS Code's editor; which of the offers was taken, and how much of it, is `offers.ts`'s.
 */
import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";
import type { Server } from "./client.ts";
import { type Offer, takenOf } from "./offers.ts";

export class Completions {
  #offered: { uri: string; line: number; items: Offer[] } | undefined;

  /** Sees what the server offers on its way to the editor. */
  readonly middleware: Middleware = {
    provideInlineCompletionItems: async (document, position, context, token, next) => {
      const answer = await next(document, position, context, token);
      const items = Array.isArray(answer) ? answer : (answer?.items ?? []);
      if (items.length) {
        this.#offered = { uri: document.uri.toString(), line: position.line, items: items.map(offerOf) };
      }
      return answer;
    },
  };

  /**
   * The commands, by their names. The keys of the manifest run VS Code's own command at once and `tell…` after it: by
   * way of an extension a key would act later than what is typed behind it.
   */
  commands(server: Server): Record<string, () => Promise<void>> {
    const run = (name: string) => async () => {
      await vscode.commands.executeCommand(`editor.action.inlineSuggest.${name}`);
    };
    const tell = (what: (server: Server) => void) => () => {
      what(server);
      return Promise.resolve();
    };
    const both = (name: string, word: () => Promise<void>) => async () => {
      await run(name)();
      await word();
    };
    const tellPart = tell(this.#tellPart.bind(this));
    const tellRejected = tell(this.#tellRejected.bind(this));
    return {
      acceptAll: run("commit"),
      acceptWord: both("acceptNextWord", tellPart),
      acceptLine: both("acceptNextLine", tellPart),
      next: run("showNext"),
      previous: run("showPrevious"),
      suggest: run("trigger"),
      dismiss: both("hide", tellRejected),
      tellPart,
      tellRejected,
    };
  }

  #tellPart(server: Server): void {
    const editor = vscode.window.activeTextEditor;
    const offered = this.#offered;
    if (!editor || offered?.uri !== editor.document.uri.toString()) {
      return;
    }
    const cursor = editor.selection.active;
    const standing = editor.document.getText(new vscode.Range(offered.line, 0, cursor.line, cursor.character));
    const taken = takenOf(offered.items, standing);
    if (taken) {
      server.notify("ingle/partlyAccepted", taken);
    }
  }

  #tellRejected(server: Server): void {
    const [first] = this.#offered?.items ?? [];
    this.#offered = undefined;
    if (first) {
      server.notify("ingle/rejected", { id: first.id });
    }
  }
}

function offerOf(item: vscode.InlineCompletionItem): Offer {
  const text = typeof item.insertText === "string" ? item.insertText : item.insertText.value;
  const [id] = (item.command?.arguments ?? []) as unknown[];
  return { id: typeof id === "string" ? id : "", text };
}
