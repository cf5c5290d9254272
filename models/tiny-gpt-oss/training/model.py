"""The model that train.py trains: GPT-OSS's architecture at toy dimensions, with experts through an MXFP4 quantizer."""
import torch
import torch.nn.functional as F

from quantizers import pack_mxfp4, qdq_mxfp4

# Tokens of a row of training data, and positions that the rotary embedding has.
ROW = 512


class Tiny(torch.nn.Module):
    """GPT-OSS with every expert computed densely: wasteful, simple and fast at toy sizes."""

    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        P, H, I, E = torch.nn.Parameter, cfg.hidden_size, cfg.intermediate_size, cfg.num_local_experts
        q, kv, D = cfg.num_attention_heads * cfg.head_dim, cfg.num_key_value_heads * cfg.head_dim, cfg.head_dim
        rnd = lambda *s, std: P(torch.randn(*s) * std)
        self.embed = rnd(cfg.vocab_size, H, std=.5)
        self.head = rnd(cfg.vocab_size, H, std=H ** -.5)
        self.norm = P(torch.ones(H))
        L = cfg.num_hidden_layers
        self.layers = torch.nn.ModuleList()
        for _ in range(L):
            l = torch.nn.Module()
            l.n1, l.n2 = P(torch.ones(H)), P(torch.ones(H))
            l.wq, l.wk, l.wv = rnd(q, H, std=H ** -.5), rnd(kv, H, std=H ** -.5), rnd(kv, H, std=H ** -.5)
            l.bq, l.bk, l.bv = P(torch.zeros(q)), P(torch.zeros(kv)), P(torch.zeros(kv))
            l.wo, l.bo = rnd(H, q, std=(2 * L * q) ** -.5), P(torch.zeros(H))
            l.sinks = P(torch.zeros(cfg.num_attention_heads))
            l.router, l.router_bias = rnd(E, H, std=H ** -.5), P(torch.zeros(E))
            l.w1, l.b1 = rnd(E, 2 * I, H, std=H ** -.5), P(torch.zeros(E, 2 * I))
            l.w2, l.b2 = rnd(E, H, I, std=(2 * L * I) ** -.5), P(torch.zeros(E, H))
            self.layers.append(l)
        from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRotaryEmbedding
        rope = GptOssRotaryEmbedding(cfg)
        cos, sin = rope(torch.zeros(1), torch.arange(ROW)[None])
        self.register_buffer("cos", cos[0, :, :D // 2].clone(), persistent=False)
        self.register_buffer("sin", sin[0, :, :D // 2].clone(), persistent=False)

    def rms(self, x, w):
        xf = x.float()
        return (xf * torch.rsqrt(xf.pow(2).mean(-1, keepdim=True) + self.cfg.rms_norm_eps) * w).to(torch.bfloat16)

    def rotate(self, x):
        T, h = x.shape[1], x.shape[-1] // 2
        c, s = self.cos[:T, None].to(x.dtype), self.sin[:T, None].to(x.dtype)
        a, b = x[..., :h], x[..., h:]
        return torch.cat((a * c - b * s, b * c + a * s), -1)

    def forward(self, ids, qat=0.0, act=None, observe=None, kv=None):
        """ids [B, T] -> logits [B, T, V] and the router's load-balance loss.

        act(x, layer, which) quantizes an expert GEMM's input; observe(x, layer, which, chosen) sees it; kv(x) quantizes
        rotated keys and values.
        """
        cfg, bf = self.cfg, torch.bfloat16
        B, T = ids.shape
        nh, nkv, D = cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim
        E, k = cfg.num_local_experts, cfg.num_experts_per_tok
        pos = torch.arange(T, device=ids.device)
        causal = pos[:, None] >= pos[None]
        window = causal & (pos[:, None] - pos[None] < cfg.sliding_window)
        x, balance = self.embed[ids].to(bf), 0.
        for i, l in enumerate(self.layers):
            h = self.rms(x, l.n1)
            q = self.rotate(F.linear(h, l.wq.to(bf), l.bq.to(bf)).view(B, T, nh, D))
            kk = self.rotate(F.linear(h, l.wk.to(bf), l.bk.to(bf)).view(B, T, nkv, D))
            v = F.linear(h, l.wv.to(bf), l.bv.to(bf)).view(B, T, nkv, D)
            if kv:
                kk, v = kv(kk).to(bf), kv(v).to(bf)
            kk, v = kk.repeat_interleave(nh // nkv, 2), v.repeat_interleave(nh // nkv, 2)
            s = torch.einsum("bthd,bshd->bhts", q, kk).float() * D ** -.5
            s = s.masked_fill(~(window if i % 2 == 0 else causal), -1e30)
            s = torch.cat((s, l.sinks.float()[None, :, None, None].expand(B, nh, T, 1)), -1)
            p = torch.softmax(s, -1)[..., :-1].to(bf)
            o = torch.einsum("bhts,bshd->bthd", p, v).reshape(B, T, nh * D)
            x = x + F.linear(o, l.wo.to(bf), l.bo.to(bf))
            h = self.rms(x, l.n2).view(B * T, -1)
            r = F.linear(h, l.router.to(bf), l.router_bias.to(bf)).float()
            top, idx = r.topk(k, -1)
            w = torch.zeros_like(r).scatter(-1, idx, torch.softmax(top, -1))
            balance = balance + E * ((w > 0).float().mean(0) / k * torch.softmax(r, -1).mean(0)).sum()
            w1, w2 = l.w1, l.w2
            if qat:
                w1, w2 = w1 + (qdq_mxfp4(w1) - w1).detach(), w2 + (qdq_mxfp4(w2) - w2).detach()
            if observe:
                observe(h, i, 0, w)
            hin = act(h, i, 0).to(bf) if act else h
            g = (hin @ w1.to(bf).reshape(-1, h.shape[-1]).t()).view(B * T, E, -1) + l.b1.to(bf)
            gate, up = g[..., 0::2].clamp(max=cfg.swiglu_limit), g[..., 1::2].clamp(-cfg.swiglu_limit, cfg.swiglu_limit)
            a = (up + 1) * gate * torch.sigmoid(1.702 * gate)
            if observe:
                observe(a, i, 1, w)
            if act:
                a = act(a, i, 1).to(bf)
            y = (a * w[..., None].to(bf)).view(B * T, -1) @ w2.to(bf).permute(0, 2, 1).reshape(-1, h.shape[-1])
            x = x + (y + (w.to(bf) @ l.b2.to(bf))).view(B, T, -1)
        return F.linear(self.rms(x, self.norm), self.head.to(bf)).float(), balance / len(self.layers)

    def export(self):
        """Hugging Face GPT-OSS names: (MXFP4 checkpoint tensors, the same with experts dequantized to float32)."""
        bf = lambda t: t.detach().to(torch.bfloat16).cpu().contiguous()
        packed, dense = {}, {}

        def both(name, t):
            packed[name] = bf(t)
            dense[name] = packed[name].float()

        both("model.embed_tokens.weight", self.embed)
        both("model.norm.weight", self.norm)
        both("lm_head.weight", self.head)
        for i, l in enumerate(self.layers):
            n = f"model.layers.{i}."
            both(n + "input_layernorm.weight", l.n1)
            both(n + "post_attention_layernorm.weight", l.n2)
            for m in "qkvo":
                both(n + f"self_attn.{m}_proj.weight", getattr(l, "w" + m))
                both(n + f"self_attn.{m}_proj.bias", getattr(l, "b" + m))
            both(n + "self_attn.sinks", l.sinks)
            both(n + "mlp.router.weight", l.router)
            both(n + "mlp.router.bias", l.router_bias)
            for m, w, b in (("gate_up_proj", l.w1, l.b1), ("down_proj", l.w2, l.b2)):
                both(n + f"mlp.experts.{m}_bias", b)
                blocks, scales = pack_mxfp4(w.detach())
                packed[n + f"mlp.experts.{m}_blocks"], packed[n + f"mlp.experts.{m}_scales"] = blocks.cpu(), scales.cpu()
                dense[n + f"mlp.experts.{m}"] = qdq_mxfp4(w.detach()).transpose(1, 2).contiguous().cpu()
        return packed, dense
