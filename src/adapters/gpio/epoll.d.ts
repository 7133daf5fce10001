declare module 'epoll' {
  /** The part of epoll 4 in use, which comes without types. */
  class Epoll {
    static readonly EPOLLIN: number;
    constructor(callback: (error: Error | null, fd: number, events: number) => void);
    add(fd: number, events: number): this;
    /** Throws for what was not added. */
    remove(fd: number): this;
  }
  const epoll: { readonly Epoll: typeof Epoll };
  export default epoll;
}
