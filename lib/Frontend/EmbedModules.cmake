# Writes FILES as C++ raw string literals, one MODULE(name, text) a file.
set(text "// Generated from examples/ and lib/Frontend/Library/.\n")
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} content)
  string(APPEND text "MODULE(\"${name}\", R\"ssm(${content})ssm\")\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
