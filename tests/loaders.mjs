// The loaders that run in node, asked about the batches of a request that loaders.py writes.
//
//     node loaders.mjs REQUEST.json
//
// Prints one line of JSON: for each loader and ONNX file the logits of every sentence, or what went wrong.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { AutoModelForSequenceClassification, AutoTokenizer, env } from '@huggingface/transformers';
import * as ort from 'onnxruntime-node';

const DTYPES = { 'model.onnx': 'fp32', 'model_quantized.onnx': 'q8' };
const request = JSON.parse(readFileSync(process.argv[2], 'utf-8'));
const files = Object.keys(DTYPES).filter((file) => request.files.includes(file));

// The same numbers that Python's onnxruntime got.
async function onnxruntime(file) {
  const session = await ort.InferenceSession.create(path.join(request.folder, 'onnx', file));
  const logits = [];
  for (const batch of request.batches) {
    const feeds = {};
    for (const name of session.inputNames) {
      const rows = batch[name];
      feeds[name] = new ort.Tensor('int64', BigInt64Array.from(rows.flat().map(BigInt)), [rows.length, rows[0].length]);
    }
    const { logits: found } = await session.run(feeds);
    const width = found.dims[1];
    for (let row = 0; row < found.dims[0]; row++) logits.push(Array.from(found.data.slice(row * width, (row + 1) * width)));
  }
  return logits;
}

// From the texts on: its own tokenizer, its own choice of the file.
async function transformers(file) {
  env.allowRemoteModels = false;
  env.localModelPath = path.dirname(request.folder) + path.sep;
  const name = path.basename(request.folder);
  const tokenizer = await AutoTokenizer.from_pretrained(name);
  const model = await AutoModelForSequenceClassification.from_pretrained(name, { dtype: DTYPES[file] });
  const logits = [];
  for (const texts of request.texts) {
    const inputs = await tokenizer(texts, { padding: true, truncation: true });
    logits.push(...(await model(inputs)).logits.tolist());
  }
  return logits;
}

const results = {};
for (const [loader, ask] of Object.entries({ 'onnxruntime-node': onnxruntime, 'transformers.js': transformers })) {
  results[loader] = {};
  for (const file of files) results[loader][file] = await ask(file).catch((error) => String(error));
}
console.log(JSON.stringify(results));
