// As much of Node as the clients here use.
declare module "node:fs" {
  export function readFileSync(path: string): Uint8Array<ArrayBuffer>;
}
declare module "node:process" {
  const process: { argv: string[] };
  export default process;
}
