#!/usr/bin/env python3
"""Opens an exported student the way its users will and compares what they see.

    pip install torch "transformers<4.58" onnx onnxruntime
    python tests/loaders.py STUDENT_DIR DATA.tsv

STUDENT_DIR holds config.json, tokenizer.json, model.safetensors and onnx/model.onnx.
DATA.tsv has a header line; the text is the column `sentence`, else `text`, else the first one.

checker   onnx.checker accepts the model, all checks on
shapes    strict shape inference succeeds and ends in logits [batch, num_labels]
weights   transformers finds every weight it wants in model.safetensors, and no other
padded    torch and ONNX Runtime agree on padded batches of unequal sentences
single    ONNX Runtime says the same of a sentence alone as of it padded in a batch

Prints one line for each check; exits with 1 if any failed, 2 on wrong arguments.
"""
import sys
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

MAX_SENTENCES = 64
BATCH = 8
# Two f32 implementations of the same few layers differ by rounding only; wrong mathematics differs by far more.
TOLERANCE = 1e-4


class Student:
    """One exported directory and some sentences, each part loaded when a check first asks for it."""

    def __init__(self, folder, data):
        self.folder, self.data = folder, data
        self.onnx_path = folder / "onnx" / "model.onnx"

    @cached_property
    def loaded(self):
        return AutoModelForSequenceClassification.from_pretrained(self.folder, output_loading_info=True)

    @cached_property
    def model(self):
        return self.loaded[0].eval()

    @cached_property
    def session(self):
        return onnxruntime.InferenceSession(self.onnx_path, providers=["CPUExecutionProvider"])

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
        tokenizer = AutoTokenizer.from_pretrained(self.folder)
        limit = self.model.config.max_position_embeddings
        texts = [self.sentences[start : start + BATCH] for start in range(0, len(self.sentences), BATCH)]
        return [tokenizer(t, padding=True, truncation=True, max_length=limit, return_tensors="np") for t in texts]

    @cached_property
    def onnx_logits(self):
        return np.concatenate([self.run_onnx(batch) for batch in self.batches])

    def run_onnx(self, batch):
        feed = {i.name: batch[i.name].astype(np.int64) for i in self.session.get_inputs()}
        return self.session.run(["logits"], feed)[0]


def checker(student):
    onnx.checker.check_model(student.onnx_path, full_check=True)
    model = onnx.load(student.onnx_path)
    opsets = ", ".join(f"{opset.domain or 'ai.onnx'} {opset.version}" for opset in model.opset_import)
    return f"{len(model.graph.node)} nodes, {opsets}, ir {model.ir_version}"


def shapes(student):
    model = onnx.load(student.onnx_path)
    graph = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    found = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.output}
    dims, num_labels = found.get("logits", []), student.model.config.num_labels
    fits = len(dims) == 2 and isinstance(dims[0], str) and dims[1] == num_labels
    assert fits, f"expected logits [batch, {num_labels}], found {found}"
    return f"logits [{dims[0]}, {dims[1]}]"


def weights(student):
    model, info = student.loaded
    wrong = {kind: sorted(names) for kind, names in info.items() if names}
    assert not wrong, f"{wrong}"
    return f"{type(model).__name__}, {len(model.state_dict())} tensors, {model.num_parameters()} parameters"


@torch.inference_mode()
def padded(student):
    batches = [{name: torch.from_numpy(value) for name, value in batch.items()} for batch in student.batches]
    logits = np.concatenate([student.model(**batch).logits.numpy() for batch in batches])
    return agreement(logits, student.onnx_logits)


def single(student):
    alone = []
    for batch in student.batches:
        for row, mask in enumerate(batch["attention_mask"]):
            sentence = {name: value[row : row + 1, mask == 1] for name, value in batch.items()}
            alone.append(student.run_onnx(sentence))
    return agreement(np.concatenate(alone), student.onnx_logits)


def agreement(left, right):
    assert left.shape == right.shape, f"logits are {list(left.shape)} and {list(right.shape)}"
    difference = float(np.abs(left - right).max())
    within = difference <= TOLERANCE  # false for NaN too
    assert within, f"logits differ by {difference:.2e}, more than {TOLERANCE:.0e}"
    same = int((left.argmax(-1) == right.argmax(-1)).sum())
    return f"{len(left)} sentences, {same} with the same label, logits within {difference:.2e} of each other"


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    student, failed = Student(Path(sys.argv[1]), Path(sys.argv[2])), False
    for check in (checker, shapes, weights, padded, single):
        try:
            outcome, detail = "ok", check(student)
        except Exception as error:  # whatever a loader raises is a failed check
            outcome, detail, failed = "FAIL", f"{type(error).__name__}: {error}", True
        print(f"{outcome:<5}{check.__name__:<9}{' '.join(detail.split())}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
