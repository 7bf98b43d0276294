add_compile_definitions(NANTIAN_VERSION="${PROJECT_VERSION}")
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
    -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef
    -D_GNU_SOURCE)
if(NANTIAN_WERROR)
    add_compile_options(-Werror)
endif()
