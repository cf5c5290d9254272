/** Whether another host has the same files: by size, and by samples of every part. */
import { refuseOthers, sampleFiles } from "../../src/checkpoint/same_files.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { allLinears, type MatrixSource } from "../../src/checkpoint/source.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { TINY } from "../cli/program.ts";
import { TemporaryDirectory } from "./container.ts";

Deno.test("files of one path that differ in size, names or any matrix are refused, the same ones are not", async () => {
  using dir = new TemporaryDirectory();
  for (const name of ["config.json", "model.safetensors"]) Deno.copyFileSync(`${TINY}/${name}`, `${dir.path}/${name}`);
  const path = `${dir.path}/model.safetensors`, { source } = openCheckpoint(dir.path), files = sampleFiles(source);
  assertEquals(files.map(({ path, bytes }) => [path, bytes]), [[path, Deno.statSync(path).size]]);
  await refuseOthers(files, "rank 1");
  const bytes = Deno.readFileSync(path);
  const refused = async (got: string) => {
    const { code, message } = await assertRejects(() => refuseOthers(files, "rank 1 on hostb"), InputError);
    assertEquals(code, "contradiction");
    assertEquals(message, `${path}: expected the same file for all ranks, got ${got}`);
  };
  /** Alters what a training would, and puts it right again. */
  const altered = async (start: number, end: number) => {
    const other = bytes.slice();
    for (let i = start; i < end; i++) other[i]! ^= 1;
    Deno.writeFileSync(path, other);
    await refused("another one for rank 1 on hostb: its contents differ");
    Deno.writeFileSync(path, bytes);
  };
  await altered(20, 21);
  const spanOf = ({ offset, rowStride, rows, cols, transposed }: MatrixSource): [number, number] => {
    return [offset, offset + rowStride * (transposed ? cols : rows)];
  };
  const [first, ...linears] = allLinears(source.tree);
  assert(linears.length > 10);
  for (const { weight } of [first!, linears[Math.floor(linears.length / 2)]!, linears.at(-1)!]) {
    await altered(...spanOf(weight));
  }
  await altered(...spanOf(source.tree.embedding));
  Deno.writeFileSync(path, bytes.subarray(1));
  await refused(`another one for rank 1 on hostb: ${bytes.length - 1} bytes, where rank 0 has ${bytes.length}`);
  Deno.removeSync(path);
  await refused("none that can be read for rank 1 on hostb");
});
