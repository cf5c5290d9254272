/** The kinds of fields that schemas of results are made of; each takes what the field means. */
import { z } from "zod";

/** Words. */
export const text = (what: string) => z.string().describe(what);
/** How many: an integer from 0. */
export const count = (what: string) => z.int().min(0).describe(what);
/** A measured number; null where there is none, or it is not finite. */
export const number = (what: string) => z.number().nullable().describe(what);
/** A part of a whole, from 0 to 1. */
export const share = (what: string) => z.number().min(0).max(1).describe(what);

/** The ends of a 95% interval. */
export const interval = { low: number("lower end of the 95% interval"), high: number("upper end of the 95% interval") };
