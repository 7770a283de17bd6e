#!/bin/sh
# Delete the results of the study $STUDY, after saying what they are and asking on the terminal; YES=1 does not ask.
set -eu

refuse() {
  echo "clean-study: $1" >&2
  exit 1
}

case ${STUDY-} in
  "" | [!a-z0-9]* | *[!a-z0-9._-]* | *..*) refuse "STUDY='${STUDY-}' is no name of a study: lower-case letters, digits, '.', '_', '-'" ;;
  worlds) refuse "results/worlds is shared by studies and stays; \`make clean\` deletes all" ;;
esac
folder=results/$STUDY
[ ! -L "$folder" ] || refuse "$folder is a link to $(readlink "$folder"): delete that yourself"
[ -d "$folder" ] || refuse "no $folder here; studies with results: $(ls results 2>/dev/null | grep -vx worlds | tr '\n' ' ')"
# Also where a workflow was killed: then Snakemake says how to unlock.
[ -z "$(ls .snakemake/locks 2>/dev/null)" ] || refuse "a workflow runs here, or was killed: \`snakemake --unlock\` first"

size=$(du -sh "$folder" | cut -f1)
adapters=$(find "$folder" -name adapter_model.safetensors -not -path '*/partial/*' | wc -l)
echo "$folder: $size, $adapters adapters. What studies share, results/worlds, stays."
if [ "${YES-}" != 1 ]; then
  [ -t 0 ] || refuse "nobody to ask here, so nothing is deleted; YES=1 deletes without asking"
  printf 'Delete it? [y/N] '
  read -r answer || answer=
  [ "$answer" = y ] || { echo "kept"; exit 0; }
fi
rm -rf "$folder"
echo "deleted $folder; the next run makes it anew"
