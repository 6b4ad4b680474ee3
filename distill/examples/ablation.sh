#!/bin/sh
# What each part of a recipe adds, on the same student, with the same start and batches:
#   scratch  labels alone, from random weights: what inherits nothing from the teacher
#   labels   labels alone
#   few      labels alone, of the rows of FEW: what there is without a teacher when most texts have no label
#   logits   the teacher's logits alone, for as many updates
#   both     labels and logits, as `train` weighs them where nothing is said
#   narrow   logits, starting as LAYERS of ENCODER, made narrower, instead
#   long     logits, started as before, for as many updates as `inside` makes in its two stages
#   inside   TinyBERT's two stages on the texts of the task: INSIDE updates on the inside, then as many as `logits` makes
#   general  the same after one stage of GENERAL updates on the inside on plain text, CORPUS, which all seeds share
#   augment  the same as `general` with COPIES of each text, which all seeds share
#
#   TEACHER=bert TRAIN=train.tsv DEV=dev.tsv TEST=test.tsv OUT=ablation ./ablation.sh
#
# Nothing is chosen on TEST, nor on DEV: the last step of each run is kept. All arms but `scratch` and `narrow` start as START
# says, by default with the teacher's word embeddings, projected. A run that is there already is not run again.
set -eu
: "${DISTILL:=distill}" "${TEACHER:?}" "${TRAIN:?}" "${DEV:?}" "${OUT:?}"
: "${TEST:=$DEV}" "${FEW:=}" "${CORPUS:=}" "${TASK:=text}" "${STUDENT:=tinybert-4l-312}"
: "${ARMS:=scratch labels logits long inside}" "${SEEDS:=1 2 3}" "${STEPS:=800}" "${INSIDE:=$STEPS}" "${GENERAL:=300}"
: "${START:=--init-embeddings svd}" "${ENCODER:=$TEACHER}" "${LAYERS:=0,2,4,5}" "${RATE:=3e-4}" "${COPIES:=4}"
: "${PRECISION:=f32}" "${THREADS:=0}"

mkdir -p "$OUT"
shared="--teacher $TEACHER --task $TASK --precision $PRECISION --threads $THREADS --cache $OUT/labels.safetensors"
start="--student $STUDENT $START"
inside="--set objective.embedding_mse=1 --set objective.hidden_mse=1 --set objective.score_mse=1"

general() {
  [ -f "$OUT/general/onnx/model.onnx" ] && return
  rm -rf "$OUT/general"
  "$DISTILL" train $shared $start $inside --corpus "$CORPUS" --set data.read=corpus --set data.holdout=0.01 --seed 1 \
    --max-length 128 --max-steps "$GENERAL" --eval-every "$GENERAL" --lr "$RATE" --out "$OUT/general"
}

copies() {
  [ -f "$OUT/copies.tsv" ] && return
  "$DISTILL" augment --teacher "$TEACHER" --task "$TASK" --data "$TRAIN" --exclude "$DEV" --exclude "$TEST" \
    --copies "$COPIES" --seed 1 --out "$OUT/copies.tsv"
}

for arm in $ARMS; do
  for seed in $SEEDS; do
    run="$OUT/$arm-$seed"
    [ -f "$run/report.json" ] && continue
    rm -rf "$run"
    common="$shared --eval $DEV --seed $seed --out $run"
    last="--max-steps $STEPS --eval-every $STEPS --lr $RATE"
    stages="--recipe tinybert-task --cache-inside --set train.learning_rate=$RATE
      --set intermediate.train.max_steps=$INSIDE --set intermediate.train.eval_every=$INSIDE --set intermediate.train.warmup=0.05
      --set prediction.train.max_steps=$STEPS --set prediction.train.eval_every=$STEPS"
    case $arm in
      scratch) "$DISTILL" train $common --data "$TRAIN" --student "$STUDENT" $last --alpha 0 ;;
      labels) "$DISTILL" train $common --data "$TRAIN" $start $last --alpha 0 ;;
      few) "$DISTILL" train $common --data "$FEW" $start $last --alpha 0 ;;
      logits) "$DISTILL" train $common --data "$TRAIN" $start $last --alpha 1 --temperature 1 ;;
      both) "$DISTILL" train $common --data "$TRAIN" $start $last ;;
      narrow)
        "$DISTILL" train $common --data "$TRAIN" --student "$STUDENT" --init "$ENCODER" --init-layers "$LAYERS" $last \
          --alpha 1 --temperature 1 ;;
      long)
        all=$((STEPS + INSIDE))
        "$DISTILL" train $common --data "$TRAIN" $start --alpha 1 --temperature 1 --max-steps $all --eval-every $all \
          --lr "$RATE" ;;
      inside) "$DISTILL" train $common --data "$TRAIN" $start $stages ;;
      general)
        general
        "$DISTILL" train $common --data "$TRAIN" --init "$OUT/general" $stages ;;
      augment)
        general
        copies
        "$DISTILL" train $common --data "$OUT/copies.tsv" --init "$OUT/general" $stages ;;
      *) echo "there is no arm $arm" >&2; exit 2 ;;
    esac
  done
done

groups=""
for arm in $ARMS; do
  runs=$(for seed in $SEEDS; do printf '%s,' "$OUT/$arm-$seed"; done)
  groups="$groups --seeds-of $arm=${runs%,}"
done
"$DISTILL" compare --teacher "$TEACHER" $groups --data "$TEST" --task "$TASK" --no-time --out "$OUT/report"
