#!/usr/bin/env python3
"""Splits the training file of SST-2 by the sentences that its phrases are cut from.

    python distill/examples/split_sst2.py SST2_FOLDER OUT_FOLDER

GLUE's file holds sentences and most of their phrases, so that of two rows taken at random one may be a part of the other. Here a
phrase belongs to every longest phrase that contains it; `test.tsv` holds 4,000 phrases that are part of nothing that is trained
on, `train.tsv` the first 8,000 of the others in a seeded order, `few.tsv` the first 500 of these, `rest.txt` the texts of all that
are left over. Phrases of the development set are left out.
"""
import bisect
import random
import sys
from pathlib import Path


def rows(path):
    lines = path.read_text(encoding="utf8").split("\n")[1:]
    return [line.split("\t") for line in lines if line.strip()]


def main(source, out):
    dev = {text.strip() for text, _ in rows(source / "dev.tsv")}
    labels = {}
    for text, label in rows(source / "train.tsv"):
        if text.strip() not in dev:
            labels.setdefault(text.strip(), label.strip())
    whole, starts = "\n", []
    for text in sorted(labels, key=len, reverse=True):
        if f" {text} " not in whole:
            starts.append(len(whole))
            whole += f" {text} \n"

    def owners(text):
        found, at = set(), whole.find(f" {text} ")
        while at >= 0:
            found.add(bisect.bisect_right(starts, at) - 1)
            at = whole.find(f" {text} ", at + 1)
        return found

    owned = {text: owners(text) for text in labels}
    random.seed(0)
    order = list(range(len(starts)))
    random.shuffle(order)
    held = set(order[: int(len(starts) * 0.08)])
    test = [text for text in labels if owned[text] <= held and len(text.split()) >= 2]
    train = [text for text in labels if not owned[text] & held]
    random.shuffle(test)
    random.shuffle(train)
    out.mkdir(parents=True, exist_ok=True)
    for name, texts in (("test", test[:4000]), ("train", train[:8000]), ("few", train[:500])):
        lines = ["sentence\tlabel"] + [f"{text}\t{labels[text]}" for text in texts]
        (out / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf8")
    (out / "rest.txt").write_text("\n\n".join(train[8000:]) + "\n", encoding="utf8")
    print(f"{len(starts)} sentences; {len(test)} phrases to test on, {len(train)} to train on")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
