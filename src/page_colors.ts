/**
 * Colours of the program's pages, light and dark as the reader's system is: backgrounds and letters, one for each
 * series (`--s0` ...) by Okabe and Ito, which the colour-blind can tell apart, and a scale from little to much (`--d0`
 * ...).
 */
export const COLORS: string = `:root { color-scheme: light dark;
  --bg: #fbfbfa; --card: #ffffff; --ink: #1c1e21; --soft: #5d6470;
  --line: #dfe2e6; --grid: #e8eaed; --bad: #b3261e; --good: #1a7f4b;
  --s0: #0b6bb0; --s1: #c2570c; --s2: #0a7f62; --s3: #9b3d83; --s4: #8a6d00; --s5: #1c1e21; --s6: #6b6f76;
  --d0: #f4f5f6; --d1: #e4edf5; --d2: #cfe0ef; --d3: #b0cee6; --d4: #89b7da;
  --d5: #5d9bcb; --d6: #357ab2; --d7: #195489; --d8: #08284b; }
@media (prefers-color-scheme: dark) { :root {
  --bg: #15171a; --card: #1d2024; --ink: #e8e9eb; --soft: #a0a6b0;
  --line: #343940; --grid: #2b3036; --bad: #ff8a80; --good: #6fd3a0;
  --s0: #6bb7f0; --s1: #f2a35e; --s2: #56c9a5; --s3: #dd97c9; --s4: #dcc25a; --s5: #f4f5f7; --s6: #a9aeb6;
  --d0: #22262b; --d1: #243240; --d2: #263f56; --d3: #294f70; --d4: #2f658f;
  --d5: #3a7fb3; --d6: #5a9fd4; --d7: #8fc4ed; --d8: #d7ecfd; } }
`;
