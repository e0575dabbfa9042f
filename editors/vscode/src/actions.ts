/**
 * The server's code actions as commands: explain, fix, document, test, edit by instruction.
 *
 * Knows where the cursor is and what to ask the user; what becomes of the code is the server's (docs/code-actions.md).
 */
import * as vscode from "vscode";
import type { Server } from "./client.ts";

const ACT = "ingle.act";

/** The commands, by their names. */
export function actionCommands(server: Server): Record<string, () => unknown> {
  const act = async (name: string, range: vscode.Range, words = "") => {
    const uri = vscode.window.activeTextEditor?.document.uri.toString();
    const { start, end } = range;
    await server.execute(ACT, name, uri, [start.line, start.character, end.line, end.character], words);
  };
  const onSelection = (name: string) => () => act(name, editorOrThrow().selection);
  return {
    explain: onSelection("explain"),
    docstring: onSelection("docstring"),
    test: onSelection("test"),
    fix: async () => {
      const [range, message] = problemAt(editorOrThrow());
      await act("fix", range, message);
    },
    edit: async () => {
      const { selection } = editorOrThrow();
      const words = await vscode.window.showInputBox({
        title: "Edit by instruction",
        prompt: "What should become of the selected code?",
        placeHolder: "use a list comprehension",
      });
      if (words) {
        await act("edit", selection, words);
      }
    },
  };
}

function editorOrThrow(): vscode.TextEditor {
  const editor = vscode.window.activeTextEditor;
  if (!editor) {
    throw new Error("No editor is active: click into the code first.");
  }
  return editor;
}

/** The problem that the cursor is in, worst first, as other extensions reported it. */
function problemAt({ document, selection }: vscode.TextEditor): [vscode.Range, string] {
  const [problem] = vscode.languages
    .getDiagnostics(document.uri)
    .filter((each) => each.range.intersection(selection))
    .sort((one, other) => one.severity - other.severity);
  if (!problem) {
    throw new Error("No problem is reported here: put the cursor into one that is underlined.");
  }
  return [problem.range, problem.message];
}
