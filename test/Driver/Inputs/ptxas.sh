#!/bin/sh
# Stands for NVIDIA's ptxas: writes its architecture and that of its input, or fails for one
# that it does not know. Nothing but the shell is needed.
for argument; do
  case $argument in -arch=*) arch=${argument#-arch=} ;; esac
  [ "$last" = -o ] && output=$argument
  last=$argument
done
if [ "$arch" = sm_120 ]; then
  echo "ptxas fatal   : Value 'sm_120' is not defined for option 'gpu-name'"
  exit 1
fi
while read -r word target; do
  [ "$word" = .target ] && break
done <"$last"
echo "cubin for $arch from $target" >"$output"
