# bnf_room(NAME [DEPS room...] [LIBS target...]): one object library per folder src/NAME, all its *.c files.
set(BNF_ROOM_TARGETS "" CACHE INTERNAL "")
set(BNF_ROOM_LIBS "" CACHE INTERNAL "")

function(bnf_room name)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS" ${ARGN})
  string(REPLACE "/" "_" id ${name})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.c)
  if(NOT sources)
    return()
  endif()
  add_library(banff_${id} OBJECT ${sources})
  target_include_directories(banff_${id} PUBLIC ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(banff_${id} PUBLIC banff_options ${ARG_LIBS})
  set_target_properties(banff_${id} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  set(BNF_ROOM_TARGETS "${BNF_ROOM_TARGETS};banff_${id}" CACHE INTERNAL "")
  set(BNF_ROOM_LIBS "${BNF_ROOM_LIBS};${ARG_LIBS}" CACHE INTERNAL "")
endfunction()

# The library of all rooms: static, or shared with -DBUILD_SHARED_LIBS=ON.
function(bnf_library)
  add_library(banff)
  foreach(room ${BNF_ROOM_TARGETS})
    target_sources(banff PRIVATE $<TARGET_OBJECTS:${room}>)
  endforeach()
  set_target_properties(banff PROPERTIES VERSION ${PROJECT_VERSION}
                        SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LINKER_LANGUAGE C)
  target_include_directories(banff PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
                             $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  list(REMOVE_DUPLICATES BNF_ROOM_LIBS)
  target_link_libraries(banff PUBLIC $<BUILD_INTERFACE:banff_options> $<INSTALL_INTERFACE:OpenMP::OpenMP_C>
                        $<INSTALL_INTERFACE:Threads::Threads> ${BNF_ROOM_LIBS} PkgConfig::YAML m)
endfunction()

# bnf_embed(TARGET FILE HEADER NAME): a header for TARGET that defines NAME[] with the bytes of FILE.
function(bnf_embed target file header name)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/embedded/${header} CONTENT "static const unsigned char ${name}[] = {${bytes}};\n")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/embedded)
endfunction()

function(bnf_program)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/cli/*.c)
  if(sources)
    add_executable(banff_cli ${sources})
    set_target_properties(banff_cli PROPERTIES OUTPUT_NAME banff)
    target_link_libraries(banff_cli PRIVATE banff)
    bnf_embed(banff_cli ${CMAKE_SOURCE_DIR}/jobs/lib.sh cli/job_lib.h bnf_job_lib)
  endif()
endfunction()
