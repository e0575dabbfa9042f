/**
 * The language server: its process, and the client that speaks with it. Started and stopped one at a time.
 *
 * Knows vscode-languageclient and the server's contract (docs/completion.md), and nothing of how things look.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import * as vscode from "vscode";
import {
  type ClientCapabilities,
  CloseAction,
  type CloseHandlerResult,
  ErrorAction,
  type ErrorHandler,
  LanguageClient,
  type Middleware,
  RevealOutputChannelOn,
  State,
} from "vscode-languageclient/node";
import { findServer } from "./program.ts";
import { Serial } from "./serial.ts";
import type { Status } from "./status.ts";

const NOBODY: Status = { state: "error", model: "", reason: "ingle-lsp is not running." };

export class Server implements vscode.Disposable {
  readonly channel = vscode.window.createOutputChannel("ingle", { log: true });
  readonly #statusChanged = new vscode.EventEmitter<Status>();
  readonly #started = new vscode.EventEmitter<string>();
  readonly #missing = new vscode.EventEmitter<string>();
  readonly #serial = new Serial(() => this.#startAnew());
  readonly #settings: () => Record<string, unknown>;
  readonly #middleware: Middleware;
  #client: LanguageClient | undefined;
  #process: ChildProcess | undefined;
  #judge: ErrorHandler | undefined;
  #path = "";
  #status = NOBODY;

  /** Whenever the state of things has changed. */
  readonly onStatus = this.#statusChanged.event;
  /** When a server answers, with the version that it says it is. */
  readonly onStarted = this.#started.event;
  /** When there is no `ingle-lsp` to start, with a sentence that says so. */
  readonly onMissing = this.#missing.event;

  constructor(settings: () => Record<string, unknown>, middleware: Middleware) {
    this.#settings = settings;
    this.#middleware = middleware;
  }

  get status(): Status {
    return this.#status;
  }

  /** Stop the server, if it runs, and start the one that is to be started now. */
  restart(): Promise<void> {
    return this.#serial.run();
  }

  /** Restart if another `ingle-lsp` is to be started than the one that runs. */
  async restartIfMoved(): Promise<void> {
    const found = await findServer();
    if (this.#path !== ("path" in found ? found.path : "")) {
      await this.restart();
    }
  }

  /** End the server; resolves when its process has gone. */
  async stop(): Promise<void> {
    const client = this.#client;
    const process = this.#process;
    this.#client = undefined;
    this.#process = undefined;
    try {
      await client?.dispose();
    } catch (error) {
      this.channel.warn(`ingle-lsp did not end when told to: ${String(error)}`);
    }
    if (process) {
      await ended(process);
    }
  }

  /** Have the server do one of its commands. */
  async execute(command: string, ...words: unknown[]): Promise<unknown> {
    if (!this.#client?.isRunning()) {
      throw new Error(this.#status.reason || NOBODY.reason);
    }
    return this.#client.sendRequest("workspace/executeCommand", { command, arguments: words });
  }

  /** Tell the server something, if it runs. */
  notify(method: string, parameters: object): void {
    if (this.#client?.isRunning()) {
      void this.#client.sendNotification(method, parameters);
    }
  }

  /** The settings have changed. */
  configure(): void {
    this.notify("workspace/didChangeConfiguration", { settings: { ingle: this.#settings() } });
  }

  /** What is wrong with these documents has changed, whoever found it. */
  tellDiagnostics(uris: readonly vscode.Uri[]): void {
    const convert = this.#client?.code2ProtocolConverter;
    const open = new Set(vscode.workspace.textDocuments.map((document) => document.uri.toString()));
    for (const uri of uris.filter((each) => convert && open.has(each.toString()))) {
      this.notify("ingle/diagnostics", {
        uri: convert?.asUri(uri),
        diagnostics: convert?.asDiagnostics(vscode.languages.getDiagnostics(uri)),
      });
    }
  }

  dispose(): void {
    this.#statusChanged.dispose();
    this.#started.dispose();
    this.#missing.dispose();
    this.channel.dispose();
  }

  #now(status: Status): void {
    this.#status = status;
    this.#statusChanged.fire(status);
  }

  async #startAnew(): Promise<void> {
    await this.stop();
    this.#path = "";
    if (!vscode.workspace.isTrusted) {
      this.#now({ state: "untrusted", model: "", reason: "Nothing is completed before you trust this workspace." });
      return;
    }
    const found = await findServer();
    if ("missing" in found) {
      this.#now({ state: "error", model: "", reason: found.missing });
      this.#missing.fire(found.missing);
      return;
    }
    this.#path = found.path;
    this.#now({ state: "starting", model: "", reason: "" });
    const client = this.#newClient(found.path);
    this.#client = client;
    try {
      await client.start();
      this.#started.fire(client.initializeResult?.serverInfo?.version ?? "");
    } catch (error) {
      this.#now({ state: "error", model: "", reason: `${found.path} did not start: ${String(error)}` });
    }
  }

  /** The server's process, once there is one. */
  async #spawn(path: string): Promise<ChildProcess> {
    const child = spawn(path, ["--stdio"], { stdio: "pipe" });
    await once(child, "spawn");
    child.on("error", (error) => {
      this.channel.warn(String(error));
    });
    this.#process = child;
    return child;
  }

  #newClient(path: string): LanguageClient {
    const client: LanguageClient = new LanguageClient("ingle", "ingle", () => this.#spawn(path), {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }],
      outputChannel: this.channel,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationOptions: () => this.#settings(),
      initializationFailedHandler: () => false,
      errorHandler: { error: () => ({ action: ErrorAction.Continue }), closed: () => this.#closed(client) },
      middleware: this.#middleware,
    });
    this.#judge ??= client.createDefaultErrorHandler();
    client.registerFeature({
      fillClientCapabilities,
      initialize: () => undefined,
      getState: () => ({ kind: "static" }),
      clear: () => undefined,
    });
    client.onNotification("ingle/status", (status: Status) => {
      this.#now(status);
    });
    return client;
  }

  /** The server has gone. The library says how often is too often; restarting is done here, one at a time. */
  async #closed(client: LanguageClient): Promise<CloseHandlerResult> {
    this.#now(NOBODY);
    const judged = await this.#judge?.closed();
    if (judged?.action !== CloseAction.Restart || client.state !== State.Running) {
      return { action: CloseAction.DoNotRestart, ...(judged?.message && { message: judged.message }) };
    }
    this.#client = undefined; // nobody is left that could be told to stop
    void this.restart();
    return { action: CloseAction.DoNotRestart, message: "ingle-lsp has ended; it is started again.", handled: true };
  }
}

const GRACE_MS = 2000;

/** Resolves when the process has gone. One that was told to end and does not is killed: the library kills only its own. */
async function ended(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) {
    return;
  }
  const exit = once(process, "exit");
  const killing = setTimeout(() => process.kill("SIGKILL"), GRACE_MS);
  await exit;
  clearTimeout(killing);
}

/** VS Code asks this long after a keystroke: it waits for the pause itself (`InlineCompletionsDebounce`). */
const WAITED_MS = 50;

/** What the server should send, and what it need not wait for, as its contract has it. */
function fillClientCapabilities(capabilities: ClientCapabilities): void {
  const ingle = { status: true, waitedMs: WAITED_MS };
  capabilities.experimental = { ...(capabilities.experimental as object | undefined), ingle };
}
