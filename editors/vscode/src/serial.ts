/**
 * One thing at a time. What is wanted while it runs is done once more afterwards, however often it was wanted.
 *
 * Knows nothing of what is done.
 */
export class Serial {
  readonly #work: () => Promise<void>;
  #running: Promise<void> | undefined;
  #wanted = false;

  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /** Have it done from its beginning; resolves when nothing is left to do. */
  run(): Promise<void> {
    this.#wanted = true;
    this.#running ??= this.#all();
    return this.#running;
  }

  async #all(): Promise<void> {
    try {
      while (this.#wanted) {
        this.#wanted = false;
        await this.#work();
      }
    } finally {
      this.#running = undefined;
    }
  }
}
