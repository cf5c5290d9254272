/** `/`: the page, which shows nothing of anybody's requests and is handed out without a key. */
import { endpoint } from "../http/endpoint.ts";
import { PAGE } from "./page.ts";

export const PAGE_ENDPOINT = endpoint({
  method: "GET",
  path: "/",
  summary: "a page with a chat and the microscope",
  body: null,
  response: "text/html",
  open: true,
  handle: () => ({ text: PAGE, contentType: "text/html; charset=utf-8" }),
});
