#!/usr/bin/env python3
"""Opens an exported student with every loader its users have, and compares what they see.

    python tests/loaders.py STUDENT_DIR DATA.tsv --install FOLDER

STUDENT_DIR holds config.json, tokenizer.json and onnx/model.onnx, and perhaps model.safetensors and other ONNX files.
DATA.tsv has a header line; the text is the column `sentence`, else `text`, else the first one.
FOLDER gets a virtual environment and a node_modules with the loaders, from PyPI and npm; a second run finds them there.
Without `--install` the packages must be importable, and the checks in node need `--node FOLDER_WITH_node_modules`.

checker      onnx.checker accepts every ONNX file, all checks on
shapes       strict shape inference succeeds and ends in logits [batch, num_labels]
weights      transformers finds every weight it wants in model.safetensors, and no other
padded       torch and ONNX Runtime agree on padded batches of unequal sentences
single       ONNX Runtime says the same of a sentence alone as of it padded in a batch
quantised    what the quantised file says beside the fp32 one (reported; only the labels of most must agree)
optimum      ORTModelForSequenceClassification, on the fp32 and the quantised file
node         onnxruntime-node, on both
transformers.js   dtype fp32 and q8, with its own tokenizer

Each loader is held to what Python's onnxruntime says of the same file: the same labels, and logits within 1e-4 (fp32)
or 5e-2 (quantised: rounding steps are not the same in every release and on every processor).
Prints one line for each check; exits with 1 if any failed, 2 on wrong arguments.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path

PYTHON = ["numpy", "torch", "transformers==4.57.6", "onnx==1.23.2", "onnxruntime==1.31.1", "optimum-onnx==0.1.0"]
NODE = ["@huggingface/transformers@4.3.1", "onnxruntime-node@1.30.0"]
MAX_SENTENCES = 64
BATCH = 8
# Two f32 implementations of the same few layers differ by rounding only; wrong mathematics differs by far more.
TOLERANCE = 1e-4
# One step of an activation's eight bits, taken differently, moves a logit by about 1e-2.
QUANTISED_TOLERANCE = 5e-2
# The share of labels that eight bits may change.
MAX_CHANGED = 0.05
FP32, QUANTISED = "model.onnx", "model_quantized.onnx"


class Student:
    """One exported directory and some sentences, each part loaded when a check first asks for it."""

    def __init__(self, folder, data, node):
        self.folder, self.data, self.node_modules = folder, data, node
        self.files = sorted(path.name for path in (folder / "onnx").glob("*.onnx"))
        self.sessions = {}

    def session(self, file):
        import onnxruntime
        if file not in self.sessions:
            path = self.folder / "onnx" / file
            self.sessions[file] = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return self.sessions[file]

    @cached_property
    def loaded(self):
        from transformers import AutoModelForSequenceClassification
        return AutoModelForSequenceClassification.from_pretrained(self.folder, output_loading_info=True)

    @cached_property
    def config(self):
        from transformers import AutoConfig
        return AutoConfig.from_pretrained(self.folder)

    @cached_property
    def sentences(self):
        header, *rows = self.data.read_text(encoding="utf-8").rstrip("\n").split("\n")
        names = header.split("\t")
        column = next((names.index(name) for name in ("sentence", "text") if name in names), 0)
        found = [row.split("\t")[column] for row in rows[:MAX_SENTENCES]]
        assert found, f"{self.data} holds no sentence"
        return found

    @cached_property
    def batches(self):
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(self.folder)
        limit = self.config.max_position_embeddings
        texts = [self.sentences[start : start + BATCH] for start in range(0, len(self.sentences), BATCH)]
        return [tokenizer(t, padding=True, truncation=True, max_length=limit, return_tensors="np") for t in texts]

    def logits(self, file):
        import numpy as np
        return np.concatenate([self.run(file, batch) for batch in self.batches])

    def run(self, file, batch):
        session = self.session(file)
        feed = {i.name: batch[i.name].astype("int64") for i in session.get_inputs()}
        return session.run(["logits"], feed)[0]

    @cached_property
    def from_node(self):
        """What loaders.mjs prints, by loader and file: logits of every sentence, or an error."""
        batches = [{name: value.tolist() for name, value in batch.items()} for batch in self.batches]
        texts = [self.sentences[start : start + BATCH] for start in range(0, len(self.sentences), BATCH)]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as request:
            json.dump({"folder": str(self.folder), "files": self.files, "texts": texts, "batches": batches}, request)
            request.flush()
            # Packages are found beside the script that asks for them.
            script = self.node_modules / "distill-loaders.mjs"
            script.write_text((Path(__file__).parent / "loaders.mjs").read_text(encoding="utf-8"), encoding="utf-8")
            output = subprocess.run(["node", script, request.name], capture_output=True, text=True)
        assert output.returncode == 0, output.stderr
        return json.loads(output.stdout.splitlines()[-1])


class Skipped(Exception):
    pass


def checker(student):
    import onnx
    for file in student.files:
        onnx.checker.check_model(student.folder / "onnx" / file, full_check=True)
        model = onnx.load(student.folder / "onnx" / file)
        opsets = ", ".join(f"{opset.domain or 'ai.onnx'} {opset.version}" for opset in model.opset_import)
        yield f"{file}: {len(model.graph.node)} nodes, {opsets}, ir {model.ir_version}"


def shapes(student):
    import onnx
    for file in student.files:
        model = onnx.load(student.folder / "onnx" / file)
        graph = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
        found = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.output}
        dims, num_labels = found.get("logits", []), student.config.num_labels
        fits = len(dims) == 2 and isinstance(dims[0], str) and dims[1] == num_labels
        assert fits, f"{file}: expected logits [batch, {num_labels}], found {found}"
        yield f"{file}: logits [{dims[0]}, {dims[1]}]"


def weights(student):
    need_weights(student)
    model, info = student.loaded
    wrong = {kind: sorted(names) for kind, names in info.items() if names}
    assert not wrong, f"{wrong}"
    yield f"{type(model).__name__}, {len(model.state_dict())} tensors, {model.num_parameters()} parameters"


def padded(student):
    import numpy as np
    import torch
    need_weights(student)
    model = student.loaded[0].eval()
    with torch.inference_mode():
        batches = [{name: torch.from_numpy(value) for name, value in batch.items()} for batch in student.batches]
        logits = np.concatenate([model(**batch).logits.numpy() for batch in batches])
    yield agreement(FP32, logits, student.logits(FP32))


def single(student):
    import numpy as np
    alone = []
    for batch in student.batches:
        for row, mask in enumerate(batch["attention_mask"]):
            sentence = {name: value[row : row + 1, mask == 1] for name, value in batch.items()}
            alone.append(student.run(FP32, sentence))
    yield agreement(FP32, np.concatenate(alone), student.logits(FP32))


def quantised(student):
    import numpy as np
    if QUANTISED not in student.files:
        raise Skipped(f"there is no {QUANTISED}")
    whole, rounded = student.logits(FP32), student.logits(QUANTISED)
    changed = int((whole.argmax(-1) != rounded.argmax(-1)).sum())
    assert changed <= MAX_CHANGED * len(whole), f"{changed} of {len(whole)} labels change"
    yield f"{changed} of {len(whole)} labels change, logits by at most {np.abs(whole - rounded).max():.2e}"


def optimum(student):
    import numpy as np
    from optimum.onnxruntime import ORTModelForSequenceClassification
    for file in named(student):
        # The fp32 file is the one that is found without a name.
        name = {} if file == FP32 else {"file_name": file}
        model = ORTModelForSequenceClassification.from_pretrained(student.folder, **name)
        logits = [model(**{name: value.astype("int64") for name, value in batch.items()}).logits for batch in student.batches]
        yield agreement(file, np.concatenate(logits), student.logits(file))


def node(student):
    yield from in_node(student, "onnxruntime-node")


def transformers_js(student):
    yield from in_node(student, "transformers.js")


def in_node(student, loader):
    import numpy as np
    if student.node_modules is None:
        raise Skipped("no --node and no --install")
    for file in named(student):
        found = student.from_node[loader][file]
        assert isinstance(found, list), f"{file}: {found}"
        yield agreement(file, np.array(found, dtype=np.float32), student.logits(file))


def named(student):
    return [file for file in (FP32, QUANTISED) if file in student.files]


def need_weights(student):
    if not (student.folder / "model.safetensors").exists():
        raise Skipped("there is no model.safetensors")


def agreement(file, left, right):
    import numpy as np
    assert left.shape == right.shape, f"{file}: logits are {list(left.shape)} and {list(right.shape)}"
    tolerance = QUANTISED_TOLERANCE if file == QUANTISED else TOLERANCE
    difference = float(np.abs(left - right).max())
    same = int((left.argmax(-1) == right.argmax(-1)).sum())
    within = difference <= tolerance  # false for NaN too
    assert within, f"{file}: logits differ by {difference:.2e}, more than {tolerance:.0e}"
    assert same == len(left), f"{file}: only {same} of {len(left)} labels are the same"
    return f"{file}: {len(left)} sentences, the same labels, logits within {difference:.2e}"


def install(folder):
    """Returns the Python with the loaders, and the folder with node_modules."""
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    if subprocess.run([python, "-c", "import optimum.onnxruntime, onnx"], capture_output=True).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PYTHON], check=True)
    if not (folder / "node_modules" / "onnxruntime-node").exists():
        # Only libraries for GPUs are fetched by scripts, and from elsewhere.
        subprocess.run(["npm", "install", "--silent", "--ignore-scripts", "--prefix", folder, *NODE], check=True)
    return python


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--install", type=Path, metavar="FOLDER")
    parser.add_argument("--node", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    if args.install:
        folder = args.install.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        python = install(folder)
        return subprocess.run([python, __file__, args.student, args.data, "--node", folder]).returncode
    student, failed = Student(args.student.resolve(), args.data, args.node and args.node.resolve()), False
    for check in (checker, shapes, weights, padded, single, quantised, optimum, node, transformers_js):
        name = check.__name__.replace("_", ".")
        try:
            for detail in check(student):
                print(f"{'ok':<5}{name:<17}{' '.join(detail.split())}", flush=True)
        except Skipped as reason:
            print(f"{'skip':<5}{name:<17}{reason}", flush=True)
        except Exception as error:  # whatever a loader raises is a failed check
            failed = True
            print(f"{'FAIL':<5}{name:<17}{type(error).__name__}: {' '.join(str(error).split())}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
