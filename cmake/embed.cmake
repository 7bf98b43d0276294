# cmake -DFROM=FILE -DTO=FILE.c -DHEADER=PATH -DNAME=SYMBOL -P embed.cmake: a file as a C text.
file(READ ${FROM} bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${TO} "#include \"${HEADER}\"\n\nconst char ${NAME}[] = {\n${bytes}0};\n")
