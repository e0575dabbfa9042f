/**
 * How the state of things reads in the status bar. Pure: a state goes in, text comes out.
 */

/** `ingle/status`, as the server sends it. */
export interface Status {
  state: string;
  model: string;
  reason: string;
}

export interface Shown {
  text: string;
  tooltip: string;
  /** For screen readers, which cannot see an icon turn. */
  label: string;
  warning: boolean;
}

const LONGEST_NAME = 28;

const LOOKS: Record<string, { icon: string; says: string; named: boolean }> = {
  idle: { icon: "flame", says: "ready", named: true },
  thinking: { icon: "loading~spin", says: "thinking", named: true },
  loading: { icon: "loading~spin", says: "loading the model", named: true },
  starting: { icon: "loading~spin", says: "starting", named: false },
  off: { icon: "circle-slash", says: "off", named: false },
  offline: { icon: "debug-disconnect", says: "the daemon is away", named: false },
  untrusted: { icon: "shield", says: "off until the workspace is trusted", named: false },
  error: { icon: "warning", says: "something is wrong", named: false },
};

/** What to show of a status. A state that this version does not know reads as it is. */
export function shown({ state, model, reason }: Status): Shown {
  const look = LOOKS[state] ?? { icon: "flame", says: state, named: true };
  const name = look.named && model ? short(model) : "ingle";
  return {
    text: `$(${look.icon}) ${name}`,
    tooltip: [`ingle: ${look.says}`, model && `Model: ${model}`, reason].filter(Boolean).join("\n"),
    label: [`ingle, ${look.says}`, model, reason].filter(Boolean).join(", "),
    warning: state === "error",
  };
}

/** A model may be called after any file: its name must not be read as an icon. */
function short(model: string): string {
  const plain = model.replaceAll("$(", "(");
  return plain.length <= LONGEST_NAME ? plain : `${plain.slice(0, LONGEST_NAME - 1)}…`;
}
