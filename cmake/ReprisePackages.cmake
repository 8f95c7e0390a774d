# What Reprise is built on; `./demo` and `./check` install all of it (scripts/setup.sh).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
if(REPRISE_APP OR REPRISE_BENCHMARKS)
    find_package(CLI11 REQUIRED)
endif()
if(REPRISE_APP)
    find_package(OpenSSL REQUIRED COMPONENTS Crypto)  # SHA-256
endif()
find_package(PNG REQUIRED)
find_package(JPEG REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc i18n)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpmux)
if(REPRISE_VIDEO)
    pkg_check_modules(FFMPEG REQUIRED IMPORTED_TARGET libavcodec libavformat libavutil libswscale)
endif()

if(REPRISE_BACKEND_OPENVINO)
    # Python's package of it, unpacked by scripts/setup.sh, carries the C++ headers, libraries and CMake files.
    # OpenVINO_DIR, as a CMake variable or in the environment, goes before it.
    file(STRINGS ${PROJECT_SOURCE_DIR}/scripts/openvino.txt pin REGEX "^openvino==")
    string(REGEX REPLACE "^openvino==([0-9.]+).*" "\\1" version "${pin}")
    set(places ${PROJECT_SOURCE_DIR}/.deps/openvino-${version}/openvino/cmake)
    if(SKBUILD)  # a wheel is built against the package that it will run with, which pip has installed for the build
        find_package(Python REQUIRED COMPONENTS Interpreter)
        execute_process(COMMAND ${Python_EXECUTABLE} -c
                                "import importlib.util as u; print(u.find_spec('openvino').submodule_search_locations[0])"
                        OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE package ERROR_QUIET)
        list(PREPEND places ${package}/cmake)
    endif()
    find_package(OpenVINO REQUIRED COMPONENTS Runtime HINTS ${places})
endif()
