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
  commands(server: Server): Record<string, () => unknown> {
    const run = (name: string) => vscode.commands.executeCommand(`editor.action.inlineSuggest.${name}`);
    const take = async (name: string) => {
      await run(name);
      this.#tellPart(server);
    };
    return {
      acceptAll: () => run("commit"),
      acceptWord: () => take("acceptNextWord"),
      acceptLine: () => take("acceptNextLine"),
      next: () => run("showNext"),
      previous: () => run("showPrevious"),
      suggest: () => run("trigger"),
      dismiss: async () => {
        await run("hide");
        this.#tellRejected(server);
      },
      tellPart: () => {
        this.#tellPart(server);
      },
      tellRejected: () => {
        this.#tellRejected(server);
      },
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
