# Configures the project of part/, which has the checkout SOURCE as a part of it, in the folder WORK, and compiles its program
# as its users do. Run as: cmake -D SOURCE=<repository> -D WORK=<scratch folder> -D OPENVINO=<ON or OFF> -P part.cmake
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${WORK})
execute_process(COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/part -B ${WORK} -G Ninja
    -DREPRISE_SOURCE=${SOURCE} -DREPRISE_BACKEND_OPENVINO=${OPENVINO} -DREPRISE_VIDEO=OFF
    COMMAND_ERROR_IS_FATAL ANY)
# The whole library takes minutes; what its users get of it is the headers and the options of the target.
execute_process(COMMAND ${CMAKE_COMMAND} --build ${WORK} --target CMakeFiles/part.dir/main.cpp.o
    COMMAND_ERROR_IS_FATAL ANY)
file(READ ${WORK}/compile_commands.json commands)
string(JSON count LENGTH "${commands}")
math(EXPR last "${count} - 1")
foreach(i RANGE ${last})
    string(JSON file GET "${commands}" ${i} file)
    string(JSON command GET "${commands}" ${i} command)
    if(file MATCHES "/part/main.cpp$")
        set(found TRUE)
        if(command MATCHES "-Wconversion|-Werror|${SOURCE}/src")
            message(FATAL_ERROR "what is Reprise's own reaches its users: ${command}")
        endif()
    elseif(file MATCHES "/video_mp4.cpp$")
        message(FATAL_ERROR "REPRISE_VIDEO is off, and ${file} is built")
    endif()
endforeach()
if(NOT found)
    message(FATAL_ERROR "main.cpp is not in ${WORK}/compile_commands.json")
endif()
file(REMOVE_RECURSE ${WORK})
