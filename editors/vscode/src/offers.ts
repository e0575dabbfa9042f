/**
 * Which completion is being taken, and how much of it. Pure: VS Code tells an extension only what the text became.
 */

/** A completion that was offered: its id, and all that its line is to be replaced by. */
export interface Offer {
  id: string;
  text: string;
}

/**
 * What was taken of which offer, when `standing` is what now stands from its first character to the cursor. Nothing
 * when it was taken whole: VS Code then runs the completion's own command.
 */
export function takenOf(
  offers: readonly Offer[],
  standing: string,
): { id: string; acceptedLength: number } | undefined {
  const text = standing.replaceAll("\r\n", "\n");
  const offer = offers.find((each) => each.text.startsWith(text) && each.text.length > text.length);
  return offer && { id: offer.id, acceptedLength: text.length };
}
