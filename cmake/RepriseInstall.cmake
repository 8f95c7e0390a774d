# `cmake --install`: the public headers, libreprise, the command and find_package(reprise). Where OpenVINO is the
# private copy in .deps/, its runtime goes along (lib/reprise/), so that the tree works without the sources and
# may be moved; an OpenVINO of the user's own is linked where it is.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/reprise)

install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS reprise EXPORT reprise-targets LIBRARY NAMELINK_COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT reprise-targets NAMESPACE reprise:: DESTINATION ${package_dir})
file(WRITE ${PROJECT_BINARY_DIR}/reprise-config.cmake
    "include(CMakeFindDependencyMacro)\n"
    "find_dependency(fmt)\n"
    "include(\${CMAKE_CURRENT_LIST_DIR}/reprise-targets.cmake)\n")
write_basic_package_version_file(${PROJECT_BINARY_DIR}/reprise-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/reprise-config.cmake ${PROJECT_BINARY_DIR}/reprise-config-version.cmake
        DESTINATION ${package_dir})
install(FILES LICENSE NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})

if(TARGET reprise_command)
    install(TARGETS reprise_command)
endif()

if(REPRISE_BACKEND_OPENVINO)
    get_target_property(runtime openvino::runtime LOCATION)
    get_filename_component(runtime_dir ${runtime} DIRECTORY)
    cmake_path(IS_PREFIX PROJECT_SOURCE_DIR ${runtime_dir} NORMALIZE is_private_copy)
    if(is_private_copy)
        set_target_properties(reprise PROPERTIES INSTALL_RPATH "$ORIGIN/reprise")
        if(TARGET reprise_command)
            file(RELATIVE_PATH to_runtime /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR}/reprise)
            set_target_properties(reprise_command PROPERTIES INSTALL_RPATH "$ORIGIN/${to_runtime}")
        endif()
        # All but the readers of other frameworks' files.
        install(DIRECTORY ${runtime_dir}/ DESTINATION ${CMAKE_INSTALL_LIBDIR}/reprise FILES_MATCHING
                PATTERN "libopenvino.so*" PATTERN "libopenvino_*_plugin.so" PATTERN "libopenvino_ir_frontend.so*"
                PATTERN "libtbb*" PATTERN "libhwloc*" PATTERN "cache.json")
        file(GLOB licences ${runtime_dir}/../../openvino-*.dist-info/licenses)
        install(DIRECTORY ${licences}/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/openvino)
    else()
        set_target_properties(reprise PROPERTIES INSTALL_RPATH ${runtime_dir})
        if(TARGET reprise_command)
            set_target_properties(reprise_command PROPERTIES INSTALL_RPATH ${runtime_dir})
        endif()
    endif()
endif()
