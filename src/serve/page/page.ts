/** The page at `/`: a chat and the microscope in one file, which asks this server and nobody else. */
import { CHAT } from "./chat_script.ts";
import { COMMON } from "./common_script.ts";
import { MICROSCOPE } from "./microscope_script.ts";
import { START } from "./start_script.ts";
import { STYLE } from "./style.ts";

const EFFORTS = ["low", "medium", "high"]
  .map((effort) => `<option${effort === "medium" ? " selected" : ""}>${effort}</option>`).join("");

const CHAT_FORM = `<section id="chat" role="tabpanel" aria-labelledby="tab-chat">
<div id="log" aria-live="polite"></div>
<form id="ask">
<div class="row">
<label>Model <select id="model"></select></label>
<label>Reasoning <select id="effort">${EFFORTS}</select></label>
<label>Temperature <input id="temperature" type="number" min="0" max="2" step="0.1" value="0"></label>
</div>
<details><summary class="soft">Instructions</summary>
<textarea id="system" rows="2" aria-label="Instructions"></textarea></details>
<textarea id="message" rows="3" aria-label="Message" placeholder="Message; Enter sends, Shift+Enter breaks the line"
></textarea>
<div class="row"><button id="send" class="main">Send</button>
<button id="stop" type="button" disabled>Stop (Esc)</button><button id="clear" type="button">New chat</button></div>
<div id="chat-error" role="alert"></div>
</form>
</section>`;

const MICROSCOPE_FORM = `<section id="microscope" role="tabpanel" aria-labelledby="tab-microscope" hidden>
<p class="soft">One prompt under several schemes: the reference replies, and the others are asked what they expect at
each of its tokens. A click on a token shows the alternatives, and from there the errors of every layer.</p>
<p id="alone" class="soft" hidden>This server has one model only; <code>mxoss help serve</code> says how it is started
with several schemes.</p>
<form id="look">
<textarea id="prompt" rows="3" required aria-label="Prompt" placeholder="Prompt; Ctrl+Enter compares"></textarea>
<div class="row">
<label>Reference <select id="first"></select></label>
<fieldset id="others"><legend>compared with</legend></fieldset>
</div>
<div class="row">
<label>Tokens <input id="tokens" type="number" min="1" max="256" value="64"></label>
<label>Reasoning <select id="look-effort">${EFFORTS}</select></label>
<label><input id="raw" type="checkbox"> without the chat template</label>
</div>
<details><summary class="soft">Judge a given reply</summary>
<textarea id="given" rows="2" aria-label="Reply" placeholder="Text as the model would write it, special tokens by name"
></textarea></details>
<div class="row"><button id="compare" class="main">Compare</button>
<button id="halt" type="button" disabled>Stop</button><span id="state" role="status" class="soft"></span></div>
<div id="look-error" role="alert"></div>
</form>
<p id="legend" class="soft" hidden>KL divergence of a prediction from the reference's, in nats:
1e-6<span class="ramp"></span>1. A frame marks the first token that a model would not say. Numbers are of these tokens
alone and say nothing of other texts; <code>mxoss eval</code> and <code>mxoss compare</code> do, with intervals.</p>
<div id="lanes" class="lanes"></div>
<div id="detail" aria-live="polite"></div>
</section>`;

/** The page: one HTML file without any address of another machine. */
export const PAGE: string = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:">
<link rel="icon" href="data:,">
<title>mxoss</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>mxoss</h1>
<div role="tablist"><button role="tab" id="tab-chat" aria-controls="chat" aria-selected="true">Chat</button>
<button role="tab" id="tab-microscope" aria-controls="microscope" aria-selected="false">Microscope</button></div>
<form id="key-form" hidden><label>API key <input id="key" type="password" autocomplete="off"></label></form>
<span id="page-error" role="alert"></span></header>
<main>
${CHAT_FORM}
${MICROSCOPE_FORM}
</main>
<script>${COMMON}${CHAT}${MICROSCOPE}${START}</script>
</body>
</html>
`;
