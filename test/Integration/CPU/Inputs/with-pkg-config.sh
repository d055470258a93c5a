# Compiles with the flags of an installed ssmrt.pc: with-pkg-config.sh PREFIX COMPILER ARGUMENT...
# Without pkg-config its fields are read here, as far as they go.
prefix=$1 compiler=$2
shift 2
file=$(find "$prefix" -name ssmrt.pc)
if command -v pkg-config >/dev/null; then
  export PKG_CONFIG_PATH="${file%/*}"
  flags="$(pkg-config --cflags ssmrt) $(pkg-config --libs ssmrt)"
else
  libdir=$(dirname "${file%/*}") includedir=$prefix/include
  flags="-I$includedir $(sed -n "s|^Libs: ||p" "$file" | sed "s|\${libdir}|$libdir|")"
fi
exec $compiler "$@" $flags
