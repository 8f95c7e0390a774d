# Runs once a test program is built: writes OUTPUT, by which ctest runs each suite of PROGRAM as one process, so that the
# suite's cases share what they load and compile. Cases that match EXCEPT are left out. WHOLE: one process for everything.
# THREADS: one more test, "threads.<folder>", of the cases that start threads: "Threads" is in their names.
set(minus "")
if(EXCEPT)
    set(minus "-${EXCEPT}")
endif()
execute_process(COMMAND ${PROGRAM} --gtest_list_tests "--gtest_filter=*${minus}"
                OUTPUT_VARIABLE listing COMMAND_ERROR_IS_FATAL ANY)
set(listing "\n${listing}")

set(script "")
function(add_cases name filter)
    string(APPEND script "add_test([==[${name}]==] [==[${PROGRAM}]==] [==[--gtest_filter=${filter}${minus}]==])\n"
                         "set_tests_properties([==[${name}]==] PROPERTIES TIMEOUT 1800 COST ${COST}"
                         " ENVIRONMENT [==[XDG_CACHE_HOME=${CACHE}]==])\n")
    set(script "${script}" PARENT_SCOPE)
endfunction()

if(WHOLE)
    add_cases(${FOLDER} "*")
else()
    string(REGEX MATCHALL "\n[A-Za-z][A-Za-z0-9_/]*\\." suites "${listing}")
    foreach(suite IN LISTS suites)
        string(STRIP "${suite}" suite)
        string(REGEX REPLACE "\\.$" "" name "${FOLDER}.${suite}")
        add_cases(${name} "${suite}*")
    endforeach()
endif()
if(THREADS AND listing MATCHES "\n[^ #\n]*Threads|\n  [^ #\n]*Threads")
    add_cases("threads.${FOLDER}" "*Threads*")
endif()
if(NOT script)
    message(FATAL_ERROR "${PROGRAM} has no tests")
endif()
file(WRITE ${OUTPUT} "${script}")
