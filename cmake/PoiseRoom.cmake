# SPDX-License-Identifier: Apache-2.0
#
# poise_room(<name> PURPOSE <sentence> [TAKES <what>] [GIVES <what>] [USES <room>...]
#            [SOURCES <file>...] [HEADERS <file>...] [TESTS <file>...] [LIBRARIES <target>...])
#
# Declares the room src/<name> as the static library poise_<name>, and its tests, which stand beside
# the sources, as poise_<name>_test. A room may use only rooms declared before it, so the order of
# src/CMakeLists.txt is the architecture, and a cycle between rooms cannot be written down.
# LIBRARIES are third-party: each is named by one room only, and stays private to it.
function(poise_room name)
  cmake_parse_arguments(PARSE_ARGV 1 ROOM "" "PURPOSE;TAKES;GIVES"
                        "USES;SOURCES;HEADERS;TESTS;LIBRARIES")
  if(ROOM_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "room '${name}': unknown arguments ${ROOM_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT ROOM_PURPOSE)
    message(FATAL_ERROR "room '${name}': say in one sentence what it is for (PURPOSE)")
  endif()
  foreach(used IN LISTS ROOM_USES)
    if(NOT TARGET poise_${used})
      message(FATAL_ERROR "room '${name}' may not use '${used}': it is declared later, or not at all")
    endif()
  endforeach()

  add_library(poise_${name} STATIC ${ROOM_SOURCES})
  target_include_directories(poise_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_sources(poise_${name} PRIVATE ${ROOM_HEADERS})
  set_target_properties(poise_${name} PROPERTIES LINKER_LANGUAGE CXX)
  set(used_targets ${ROOM_USES})
  list(TRANSFORM used_targets PREPEND poise_)
  target_link_libraries(poise_${name} PUBLIC ${used_targets} poise_options PRIVATE ${ROOM_LIBRARIES})

  if(ROOM_TESTS AND POISE_BUILD_TESTS)
    poise_test(poise_${name}_test SOURCES ${ROOM_TESTS} LIBRARIES poise_${name})
  endif()

  string(JOIN ", " uses_text ${ROOM_USES})
  set_property(GLOBAL APPEND_STRING PROPERTY POISE_ROOM_TABLE
    "| ${name} | ${ROOM_PURPOSE} | ${ROOM_TAKES} | ${ROOM_GIVES} | ${uses_text} |\n")
endfunction()

# poise_test(<name> SOURCES <file>... LIBRARIES <target>... [LABELS <label>...])
# One executable of GoogleTest cases, each case a ctest entry.
function(poise_test name)
  cmake_parse_arguments(PARSE_ARGV 1 TEST "" "" "SOURCES;LIBRARIES;LABELS")
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LIBRARIES} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE POISE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300 LABELS "${TEST_LABELS}")
endfunction()
