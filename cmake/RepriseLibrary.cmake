# One library, built folder by folder: a folder of src/ is an object library that is compiled with the
# public headers, src/ and what it needs from outside. Which folder may include which is the order below,
# lowest first; tests/layering holds the sources to it.
add_library(reprise_options INTERFACE)
target_include_directories(reprise_options INTERFACE
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src>)
target_compile_options(reprise_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion $<$<BOOL:${REPRISE_WERROR}>:-Werror>
    # GCC 12 sees overlapping copies in assignments to std::string (its bug 105651)
    $<$<BOOL:${REPRISE_WERROR}>:-Wno-error=restrict>)
if(REPRISE_SANITIZE)
    target_compile_options(reprise_options INTERFACE -fsanitize=${REPRISE_SANITIZE} -fno-sanitize-recover=all
                                                     -fno-omit-frame-pointer -g1)
    target_link_options(reprise_options INTERFACE -fsanitize=${REPRISE_SANITIZE})
endif()
target_link_libraries(reprise_options INTERFACE fmt::fmt spdlog::spdlog Threads::Threads)

set(fuzzed_folders core io text cachify)  # libFuzzer watches what runs in these
# Sanitized builds are made with -O0, which compiles in half the time, save for the folders that loop over numbers.
set(busy_folders core io text graph backends cachify)

# reprise_folder(name lib...): the static library reprise_<name> of src/<name>, with what it links.
function(reprise_folder name)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
    if(name STREQUAL "backends" AND NOT REPRISE_BACKEND_OPENVINO)
        list(FILTER sources EXCLUDE REGEX "/backends/openvino/")
    elseif(name STREQUAL "backends")
        list(FILTER sources EXCLUDE REGEX "/backends/no_openvino/")
    endif()
    if(NOT sources)  # a folder whose first file is still to come
        file(TOUCH ${CMAKE_BINARY_DIR}/empty.cpp)
        set(sources ${CMAKE_BINARY_DIR}/empty.cpp)
    endif()
    add_library(reprise_${name} OBJECT ${sources})
    target_link_libraries(reprise_${name} PUBLIC reprise_options ${ARGN})
    if(REPRISE_FUZZ AND name IN_LIST fuzzed_folders)
        target_compile_options(reprise_${name} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
    if(REPRISE_SANITIZE AND name IN_LIST busy_folders)
        target_compile_options(reprise_${name} PRIVATE -O2)
    endif()
    set_property(GLOBAL APPEND PROPERTY REPRISE_FOLDERS reprise_${name})
    set_property(GLOBAL APPEND PROPERTY REPRISE_LINKED ${ARGN})
endfunction()

set(openvino_target $<$<BOOL:${REPRISE_BACKEND_OPENVINO}>:openvino::runtime>)
reprise_folder(core)
reprise_folder(io PNG::PNG JPEG::JPEG PkgConfig::WEBP PkgConfig::FFMPEG nlohmann_json::nlohmann_json)
reprise_folder(text PkgConfig::PCRE2 PkgConfig::SENTENCEPIECE ICU::uc ICU::i18n nlohmann_json::nlohmann_json)
reprise_folder(graph)
reprise_folder(backends ${openvino_target})
reprise_folder(nn)
reprise_folder(models nlohmann_json::nlohmann_json)
reprise_folder(schedulers nlohmann_json::nlohmann_json)
reprise_folder(cachify PkgConfig::PCRE2 nlohmann_json::nlohmann_json)
reprise_folder(pipelines nlohmann_json::nlohmann_json)
reprise_folder(tune nlohmann_json::nlohmann_json)
reprise_folder(report nlohmann_json::nlohmann_json)

# The library is shared: it carries what it is built on (OpenVINO, ICU, PCRE2, ...) inside, so that users link
# one file, find one package (fmt, which the public headers use) and need no Python wheel on their path.
get_property(folders GLOBAL PROPERTY REPRISE_FOLDERS)
get_property(linked GLOBAL PROPERTY REPRISE_LINKED)
list(REMOVE_DUPLICATES linked)
add_library(reprise SHARED)
add_library(reprise::reprise ALIAS reprise)
foreach(folder IN LISTS folders)
    target_sources(reprise PRIVATE $<TARGET_OBJECTS:${folder}>)
endforeach()
set_target_properties(reprise PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_compile_features(reprise INTERFACE cxx_std_20)
target_include_directories(reprise INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>)
target_link_libraries(reprise PUBLIC fmt::fmt $<BUILD_INTERFACE:reprise_options> PRIVATE ${linked})
