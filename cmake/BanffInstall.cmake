# cmake --install: program, library, headers, CMake package (find_package(Banff) gives Banff::banff), banff.pc, licence.
include(CMakePackageConfigHelpers)
set(BNF_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/Banff)

install(TARGETS banff EXPORT BanffTargets)
if(TARGET banff_cli)
  install(TARGETS banff_cli)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/banff DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE NOTICE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(EXPORT BanffTargets NAMESPACE Banff:: DESTINATION ${BNF_CMAKE_DIR})
configure_package_config_file(cmake/BanffConfig.cmake.in BanffConfig.cmake INSTALL_DESTINATION ${BNF_CMAKE_DIR})
write_basic_package_version_file(BanffConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/BanffConfig.cmake ${PROJECT_BINARY_DIR}/BanffConfigVersion.cmake
        cmake/BanffDependencies.cmake DESTINATION ${BNF_CMAKE_DIR})

# pkg-config: a user of the static library links all of it, so the libraries are public (Requires and Libs). The prefix is
# relative to the file, so that cmake --install --prefix may put it anywhere.
file(RELATIVE_PATH BNF_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
set(BNF_PC_OPENMP "${OpenMP_C_FLAGS}")
configure_file(cmake/banff.pc.in banff.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/banff.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
