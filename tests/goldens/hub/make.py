"""What huggingface_hub makes of a cache and of the environment.

    python make.py            # writes trees.json; needs huggingface_hub 2.4.0 from PyPI
    python make.py queries    # answers {"cache": ..., "environments": [...], "queries": [...]} from stdin

A server on 127.0.0.1 plays the Hub: it has two models in several revisions, and huggingface_hub itself downloads from it
into a cache. trees.json holds that cache (links, texts), what `snapshot_download(local_files_only=True)` finds in it,
and which folder the environment means.
"""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
from urllib.parse import unquote, urlparse

ENVIRONMENTS = [
    {"HOME": "/home/u"},
    {"HOME": "/home/u/"},
    {"HOME": "/"},
    {"HOME": "/home/u", "XDG_CACHE_HOME": "/x/cache"},
    {"HOME": "/home/u", "XDG_CACHE_HOME": ""},
    {"HOME": "/home/u", "XDG_CACHE_HOME": "~/x"},
    {"HOME": "/home/u", "XDG_CACHE_HOME": "/x", "HF_HOME": "/hf"},
    {"HOME": "/home/u", "HF_HOME": "~"},
    {"HOME": "/home/u", "HF_HOME": "~/hf/"},
    {"HOME": "/home/u", "HF_HOME": "$HOME/hf", "XDG_CACHE_HOME": "/x"},
    {"HOME": "/home/u", "HF_HOME": "${HOME}/a/../hf"},
    {"HOME": "/home/u", "HF_HOME": "$NOT_SET/hf"},
    {"HOME": "/home/u", "HF_HOME": "relative"},
    {"HOME": "/home/u", "HF_HOME": ""},
    {"HOME": "/home/u", "HUGGINGFACE_HUB_CACHE": "~/old", "HF_HOME": "/hf"},
    {"HOME": "/home/u", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "/new"},
    {"HOME": "/home/u", "HF_HUB_CACHE": "$XDG_CACHE_HOME/hub", "XDG_CACHE_HOME": "/x"},
    {"HOME": "/home/u", "HF_HUB_CACHE": "", "HF_HOME": "/hf"},
    {"HOME": "/home/$USERNAME_OF_NOBODY", "HF_HOME": "~/x"},
    {"HF_HUB_CACHE": "/data/hub"},
]

VARIABLES = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"}


def folder_of(environment):
    """What huggingface_hub takes for its cache, in a process of its own, as it looks only when it is imported."""
    others = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE, end='')"
    return subprocess.run(
        [sys.executable, "-c", code], env={**others, **environment}, capture_output=True, text=True, check=True
    ).stdout


def found(cache, query):
    """The snapshot's path below the cache, or None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import IncompleteSnapshotError

    repository, _, revision = query.partition("@")
    try:
        path = snapshot_download(repository, revision=revision or None, cache_dir=cache, local_files_only=True)
    except IncompleteSnapshotError as error:
        # Found, without files that somebody may have had no use for.
        path = error.snapshot_path
    except Exception:
        return None
    return os.path.relpath(path, os.path.realpath(cache))


def answer(request):
    return {
        "folders": [folder_of(environment) for environment in request["environments"]],
        "found": [found(request["cache"], query) for query in request["queries"]],
    }


# Text files by revision: content matters to nobody here but the links that are made for it.
COMMITS = {"main": "1" * 40, "v1.0": "2" * 40, "refs/pr/3": "3" * 40, "feature/x": "1" * 40, "4" * 40: "4" * 40}
FILES = {
    "config.json": b'{"model_type": "gpt_oss"}\n',
    "model.safetensors": b"weights" * 9,
    "original/config.json": b"{}\n",
    "metal/model.bin": b"metal" * 9,
}
LARGE = ("model.safetensors", "metal/model.bin")


class Hub(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def send(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlparse(self.path).path)
        if path.startswith("/api/models/"):
            rest = path.removeprefix("/api/models/org/")
            name, _, rest = rest.partition("/")
            if rest.startswith("tree/"):
                entries = [
                    {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for name, data in FILES.items()
                ]
                return self.send(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})
            revision = rest.removeprefix("revision/") or "main"
            if revision not in COMMITS:
                return self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
            about = {"id": f"org/{name}", "sha": COMMITS[revision], "siblings": [{"rfilename": f} for f in FILES]}
            return self.send(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        _, _, rest = path.removeprefix("/").partition("/")
        _, _, rest = rest.partition("/resolve/")
        for revision, commit in COMMITS.items():
            for prefix in (revision, commit):
                file = rest.removeprefix(f"{prefix}/")
                if file != rest and file in FILES:
                    data = FILES[file]
                    etag = (hashlib.sha256 if file in LARGE else hashlib.sha1)(data).hexdigest()
                    return self.send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": commit})
        self.send(404, b"", {"X-Error-Code": "EntryNotFound"})


QUERIES = [
    *[f"org/gpt{suffix}" for suffix in ("", "@main", "@v1.0", "@refs/pr/3", "@feature/x", "@feature", "@v2")],
    *[f"org/gpt@{c * 40}" for c in "12345"],
    *["org/gpt@1111111", "org/tagged", "org/tagged@v1.0", f"org/tagged@{'2' * 40}", "org/part", "org/none", "org/lost"],
]


def download(cache, port):
    environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HUB_DISABLE_TELEMETRY": "1"}
    calls = [(f"org/gpt", {"revision": revision}) for revision in COMMITS]
    calls += [("org/tagged", {"revision": "v1.0"}), ("org/part", {"allow_patterns": ["original/*"]})]
    for repository, options in calls:
        code = (
            "from huggingface_hub import snapshot_download; "
            f"snapshot_download({repository!r}, cache_dir={cache!r}, **{options!r})"
        )
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)


def share(cache):
    """Has huggingface_hub keep the weights for all repositories once, as it does with those that come by Xet."""
    from huggingface_hub.utils._shared_blobs import publish_blob_to_shared_store

    weights = FILES["model.safetensors"]
    blob = f"{cache}/models--org--tagged/blobs/{hashlib.sha256(weights).hexdigest()}"
    assert publish_blob_to_shared_store(
        blob_path=blob, xet_hash="ab" + 62 * "0", cache_dir=cache, expected_size=len(weights)
    )


def tree(root):
    """Links with their targets and texts with their content; folders follow from these."""
    entries = {}
    for folder, folders, files in os.walk(root):
        for name in [*files, *[f for f in folders if os.path.islink(os.path.join(folder, f))]]:
            path = os.path.join(folder, name)
            below = os.path.relpath(path, root)
            if ".locks" in below or below.endswith((".lock", "CACHEDIR.TAG")):
                continue
            if os.path.islink(path):
                entries[below] = {"link": os.readlink(path)}
            else:
                entries[below] = {"text": open(path).read()}
    return dict(sorted(entries.items()))


def main():
    import huggingface_hub

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as cache:
        download(cache, server.server_port)
        share(cache)
        # A ref without its snapshot: what is left when a download ends early.
        os.makedirs(f"{cache}/models--org--lost/refs")
        open(f"{cache}/models--org--lost/refs/main", "w").write("9" * 40)
        golden = {
            "huggingface_hub": huggingface_hub.__version__,
            "tree": tree(cache),
            "found": {query: found(cache, query) for query in QUERIES},
            "folders": [[environment, folder_of(environment)] for environment in ENVIRONMENTS],
        }
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "trees.json"), "w") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["queries"]:
        json.dump(answer(json.load(sys.stdin)), sys.stdout)
    else:
        main()
