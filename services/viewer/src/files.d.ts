declare module "world-atlas/land-50m.json" {
  /** The address of the file, as the build puts it. */
  const address: string;
  export default address;
}

declare module "*.css";
