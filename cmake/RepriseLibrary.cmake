# One library, built folder by folder: a folder of src/ is an object library that is compiled with the
# public headers, src/ and what it needs from outside. Which folder may include which is the order below,
# lowest first; tests/layering holds the sources to it.
set(CMAKE_CXX_VISIBILITY_PRESET hidden)  # the public headers say what is not
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
add_library(reprise_compile_options INTERFACE)
target_include_directories(reprise_compile_options INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)
target_compile_options(reprise_compile_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion $<$<BOOL:${REPRISE_WERROR}>:-Werror>
    # GCC 12 sees overlapping copies in assignments to std::string (its bug 105651)
    $<$<BOOL:${REPRISE_WERROR}>:-Wno-error=restrict>)
if(REPRISE_SANITIZE)
    target_compile_options(reprise_compile_options INTERFACE -fsanitize=${REPRISE_SANITIZE} -fno-sanitize-recover=all
                                                     -fno-omit-frame-pointer -g1)
    target_link_options(reprise_compile_options INTERFACE -fsanitize=${REPRISE_SANITIZE})
endif()
target_link_libraries(reprise_compile_options INTERFACE fmt::fmt spdlog::spdlog Threads::Threads)

set(fuzzed_folders core files media text cachify)  # libFuzzer watches what runs in these
# Sanitized builds are made with -O0, which compiles in half the time, save for the folders that loop over numbers.
set(busy_folders core files media text graph backends cachify)

# What may be left out has a folder no_... of the same functions, which say that it was not built.
if(REPRISE_BACKEND_OPENVINO)
    set(not_built "/no_openvino/")
else()
    set(not_built "/backends/openvino/")
endif()
if(REPRISE_VIDEO)
    string(APPEND not_built "|/no_ffmpeg/")
else()
    string(APPEND not_built "|/video_mp4[.]cpp$")
endif()

# reprise_folder(name lib...): the static library reprise_<name> of src/<name>, with what it links.
function(reprise_folder name)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
    list(FILTER sources EXCLUDE REGEX "${not_built}")
    if(NOT sources)  # a folder whose first file is still to come
        file(TOUCH ${PROJECT_BINARY_DIR}/empty.cpp)
        set(sources ${PROJECT_BINARY_DIR}/empty.cpp)
    endif()
    add_library(reprise_${name} OBJECT ${sources})
    target_link_libraries(reprise_${name} PUBLIC reprise_compile_options ${ARGN})
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
set(ffmpeg_target $<$<BOOL:${REPRISE_VIDEO}>:PkgConfig::FFMPEG>)
reprise_folder(core)
reprise_folder(files nlohmann_json::nlohmann_json)
reprise_folder(media PNG::PNG JPEG::JPEG PkgConfig::WEBP ${ffmpeg_target})
reprise_folder(text PkgConfig::PCRE2 PkgConfig::SENTENCEPIECE ICU::uc ICU::i18n nlohmann_json::nlohmann_json)
reprise_folder(graph)
reprise_folder(backends ${openvino_target})
reprise_folder(nn)
reprise_folder(models nlohmann_json::nlohmann_json)
reprise_folder(schedulers nlohmann_json::nlohmann_json)
reprise_folder(cachify PkgConfig::PCRE2 nlohmann_json::nlohmann_json)
reprise_folder(options nlohmann_json::nlohmann_json)
reprise_folder(pipelines nlohmann_json::nlohmann_json)
reprise_folder(tune nlohmann_json::nlohmann_json)
reprise_folder(report nlohmann_json::nlohmann_json)
reprise_folder(compare nlohmann_json::nlohmann_json)
reprise_folder(capi nlohmann_json::nlohmann_json)
target_compile_definitions(reprise_capi PRIVATE REPRISE_VERSION="${PROJECT_VERSION}")

get_property(folders GLOBAL PROPERTY REPRISE_FOLDERS)
get_property(linked GLOBAL PROPERTY REPRISE_LINKED)
list(REMOVE_DUPLICATES linked)

# All that is in src/, as objects: for what is built from this repository and uses more than the public headers.
add_library(reprise_objects INTERFACE)
target_link_libraries(reprise_objects INTERFACE reprise_compile_options ${linked})
foreach(folder IN LISTS folders)
    target_sources(reprise_objects INTERFACE $<TARGET_OBJECTS:${folder}>)
endforeach()

# The library is shared: it carries what it is built on (OpenVINO, ICU, PCRE2, ...) inside, so that users link
# one file, find one package (fmt, which the public headers use) and need no Python wheel on their path. It exports
# what the public headers declare. While the version is 0.y, each y has an interface of its own: the name that
# programs look for is libreprise.so.0.y, and versions of one y are compatible.
set(exports ${CMAKE_CURRENT_LIST_DIR}/libreprise.map)
add_library(reprise SHARED)
add_library(reprise::reprise ALIAS reprise)
set_target_properties(reprise PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LINK_DEPENDS ${exports})
target_compile_features(reprise INTERFACE cxx_std_20)
target_include_directories(reprise INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
target_link_libraries(reprise PUBLIC fmt::fmt PRIVATE reprise_objects)
target_link_options(reprise PRIVATE LINKER:--version-script=${exports})
