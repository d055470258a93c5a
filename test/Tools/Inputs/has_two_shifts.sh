#!/bin/sh
# 1, which means interesting, for a piece of MLIR text that shifts forward and back.
grep -q 'ssm.shift 1 ' "$1" && grep -q 'ssm.shift -1 ' "$1" && exit 1
exit 0
