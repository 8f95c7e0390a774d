# Installs the build BUILD into WORK, moves the tree, and there builds and runs examples/embed and examples/c as users
# would.
# Run as: cmake -D BUILD=<folder> -D SOURCE=<repository> -D WORK=<scratch folder> -D MODEL=<folder> -P run.cmake
cmake_minimum_required(VERSION 3.25)

# step(name command...): runs it and stops with its output when it fails.
function(step name)
    execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE status
                    OUTPUT_VARIABLE output ERROR_VARIABLE output)
    message(STATUS "${name}: ${output}")
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "${name} ended with ${status}")
    endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
set(ENV{LD_LIBRARY_PATH} "")
set(ENV{CMAKE_PREFIX_PATH} "")
set(prefix ${WORK}/moved)
step(install ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
file(RENAME ${WORK}/prefix ${prefix})
foreach(example embed c)
    step(configure ${CMAKE_COMMAND} -S ${SOURCE}/examples/${example} -B ${WORK}/${example} -G Ninja
         -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH=${prefix})
    step(build ${CMAKE_COMMAND} --build ${WORK}/${example})
endforeach()
step(command ${prefix}/bin/reprise --help)

# Nothing that was installed may point back into the sources or the build.
file(GLOB binaries ${prefix}/bin/* ${prefix}/lib/libreprise.so)
foreach(binary IN LISTS binaries)
    file(READ_ELF ${binary} RPATH rpath RUNPATH runpath)
    if("${rpath}${runpath}" MATCHES "${SOURCE}|${BUILD}")
        message(FATAL_ERROR "${binary} looks for libraries in ${rpath}${runpath}")
    endif()
endforeach()

step(embed ${WORK}/embed/embed ${MODEL} "red apple")
step(c ${WORK}/c/draw ${MODEL} [[{"prompt": "red apple", "num_inference_steps": 20, "seed": 42, "reuse": "auto"}]] c.png)
foreach(picture 1.png c.png)
    file(READ ${WORK}/${picture} ${picture} HEX)
    if(NOT ${picture} MATCHES "^89504e470d0a1a0a")
        message(FATAL_ERROR "${picture} is no PNG")
    endif()
endforeach()
if(NOT "${1.png}" STREQUAL "${c.png}")
    message(FATAL_ERROR "C and C++ draw different pictures of the same options")
endif()
file(REMOVE_RECURSE ${WORK})
