# module(name SOURCES a.c ... NEEDS lower ... USES library ...)
# A static library of this folder that may use NEEDS alone. Each test/unit/<folder>/*_test.c becomes
# a program linked with the whole archive and its NEEDS, so a call upwards does not link.
# NEEDS are modules (folders written with _: data_snapshot), USES third-party libraries (deps_*).
# Tests with several threads in one process have the label "threads" as well: the tsan preset runs
# them too.
set(NANTIAN_THREAD_TESTS unit/base/shared_counter_test unit/base/shared_budget_test
    unit/base/shared_room_test unit/event/mailbox_test
    unit/data/snapshot/route_random_test unit/data/upstream/resolve_test
    unit/data/worker/rollout_test unit/xds/state_test unit/xds/state_log_test
    unit/base/parallel_test unit/control/files/files_test)
function(module name)
    cmake_parse_arguments(M "" "" "SOURCES;NEEDS;USES" ${ARGN})
    list(TRANSFORM M_USES PREPEND deps_)
    add_library(${name} STATIC ${M_SOURCES})
    target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(${name} PUBLIC ${M_NEEDS} PRIVATE ${M_USES})

    file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
    file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/unit/${folder}/*_test.c)
    if(NOT CMOCKA_FOUND OR NOT NANTIAN_TESTS)
        return()
    endif()
    foreach(source ${tests})
        get_filename_component(stem ${source} NAME_WE)
        set(test ${name}_${stem})
        add_executable(${test} ${source})
        target_include_directories(${test} PRIVATE ${CMAKE_SOURCE_DIR}/test/unit)
        target_link_libraries(${test} PRIVATE -Wl,--whole-archive ${name} -Wl,--no-whole-archive
            ${M_NEEDS} ${M_USES} PkgConfig::CMOCKA)
        add_test(NAME unit/${folder}/${stem} COMMAND ${test}
            WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
        set(labels unit)
        if(unit/${folder}/${stem} IN_LIST NANTIAN_THREAD_TESTS)
            list(APPEND labels threads)
        endif()
        set_tests_properties(unit/${folder}/${stem} PROPERTIES LABELS "${labels}" TIMEOUT 600)
    endforeach()
endfunction()

# program(name main.c NEEDS modules ... USES libraries ...): built into <build>/bin, installed.
function(program name source)
    cmake_parse_arguments(P "" "" "NEEDS;USES" ${ARGN})
    list(TRANSFORM P_USES PREPEND deps_)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE ${P_NEEDS} ${P_USES})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
