# The whole vocabulary of the build: rv_proto, rv_library, rv_daemon, rv_cli, rv_unit_tests, rv_fuzz.
# A target names what it may use; an include that needs another target's code does not link.
include(GNUInstallDirs)
include(CTest)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(pair "zmq=libzmq" "protobufc=libprotobuf-c" "crypto=libcrypto" "ssl=libssl" "event=libevent_core"
	"urcu=liburcu-qsbr" "urcucds=liburcu-cds" "sqlite=sqlite3" "crypt=libcrypt" "capng=libcap-ng"
	"mnl=libmnl" "seccomp=libseccomp" "check=check")
	string(REPLACE "=" ";" pair "${pair}")
	list(GET pair 0 name)
	list(GET pair 1 module)
	pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
endforeach()
find_program(PROTOC_C protoc-c REQUIRED)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
add_compile_definitions(_GNU_SOURCE RAVELIN_VERSION="${PROJECT_VERSION}")
add_compile_options(-fno-omit-frame-pointer -fstack-protector-strong)
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
	add_compile_options(-D_FORTIFY_SOURCE=2)
endif()
if(RAVELIN_SANITIZE)
	add_compile_options(-fsanitize=${RAVELIN_SANITIZE} -fno-sanitize-recover=all)
	add_link_options(-fsanitize=${RAVELIN_SANITIZE})
	if(RAVELIN_SANITIZE MATCHES "thread") # it does not see into liburcu
		add_compile_options(-include ${CMAKE_SOURCE_DIR}/tests/support/urcu_tsan.h)
	endif()
else()
	add_link_options(-Wl,-z,relro,-z,now)
endif()
if(RAVELIN_LIBFUZZER) # the libraries, too: code that is not instrumented guides nobody
	add_compile_options(-fsanitize=fuzzer-no-link)
endif()
set(RAVELIN_WARNINGS -Wall -Wextra -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wshadow
	-Wno-missing-field-initializers)
if(RAVELIN_WERROR)
	list(APPEND RAVELIN_WARNINGS -Werror)
endif()
include_directories(${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})

# rv_proto(NAME ...): proto/NAME.proto -> <proto/NAME.pb-c.h>, all in the target rv_proto.
function(rv_proto)
	set(sources)
	foreach(name ${ARGN})
		set(out ${CMAKE_BINARY_DIR}/proto/${name}.pb-c)
		add_custom_command(OUTPUT ${out}.c ${out}.h
			COMMAND ${PROTOC_C} --c_out=${CMAKE_BINARY_DIR} --proto_path=${CMAKE_SOURCE_DIR}
				${CMAKE_SOURCE_DIR}/proto/${name}.proto
			DEPENDS ${CMAKE_SOURCE_DIR}/proto/${name}.proto VERBATIM)
		list(APPEND sources ${out}.c)
	endforeach()
	add_library(rv_proto STATIC ${sources})
	target_link_libraries(rv_proto PUBLIC PkgConfig::protobufc)
endfunction()

# rv_library(NAME SOURCES a.c ... USES target ...): the static library rv_NAME.
function(rv_library name)
	cmake_parse_arguments(A "" "" "SOURCES;USES" ${ARGN})
	add_library(rv_${name} STATIC ${A_SOURCES})
	target_compile_options(rv_${name} PRIVATE ${RAVELIN_WARNINGS})
	target_link_libraries(rv_${name} PUBLIC ${A_USES})
endfunction()

# rv_daemon(NAME SOURCES ... USES ...): rv_NAME (all but main.c, for tests) and the program NAME from main.c.
# NAME.8 beside it is installed when there is one.
function(rv_daemon name)
	cmake_parse_arguments(A "" "" "SOURCES;USES" ${ARGN})
	rv_library(${name} SOURCES ${A_SOURCES} USES rv_daemon ${A_USES})
	add_executable(${name} main.c)
	target_compile_options(${name} PRIVATE ${RAVELIN_WARNINGS})
	target_link_libraries(${name} PRIVATE rv_${name})
	install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
	rv_manual(${name}.8)
endfunction()

# rv_cli(NAME SOURCES ... USES ...): a program for people, from NAME.c unless SOURCES says otherwise.
function(rv_cli name)
	cmake_parse_arguments(A "" "" "SOURCES;USES" ${ARGN})
	if(NOT A_SOURCES)
		set(A_SOURCES ${name}.c)
	endif()
	add_executable(${name} ${A_SOURCES})
	target_compile_options(${name} PRIVATE ${RAVELIN_WARNINGS})
	target_link_libraries(${name} PRIVATE ${A_USES})
	install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
	rv_manual(${name}.1)
endfunction()

function(rv_manual page)
	if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${page})
		string(REGEX REPLACE "^.*\\.([0-9])$" "\\1" section ${page})
		install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
	endif()
endfunction()

# rv_unit_tests(DIR USES ...): each tests/unit/DIR/test_NOUN.c is a libcheck program of its own.
function(rv_unit_tests dir)
	cmake_parse_arguments(A "" "" "USES" ${ARGN})
	file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${dir}/test_*.c)
	string(REPLACE "/" "." prefix ${dir})
	add_custom_target(unit.${prefix})
	foreach(test ${tests})
		get_filename_component(noun ${test} NAME_WE)
		set(target unit.${prefix}.${noun})
		add_executable(${target} ${test})
		target_compile_options(${target} PRIVATE ${RAVELIN_WARNINGS})
		target_link_libraries(${target} PRIVATE ${A_USES} PkgConfig::check)
		add_test(NAME ${target} COMMAND ${target})
		set_tests_properties(${target} PROPERTIES TIMEOUT 600)
		add_dependencies(unit.${prefix} ${target})
	endforeach()
endfunction()

# rv_fuzz(NAME USES ...): tests/fuzz/fuzz_NAME.c (LLVMFuzzerTestOneInput); its corpus tests/fuzz/corpus/NAME is
# replayed as a test in every build, and fuzzed for real with -DRAVELIN_LIBFUZZER=ON (clang).
function(rv_fuzz name)
	cmake_parse_arguments(A "" "" "USES" ${ARGN})
	set(target fuzz_${name})
	if(RAVELIN_LIBFUZZER)
		add_executable(${target} fuzz_${name}.c)
		target_compile_options(${target} PRIVATE -fsanitize=fuzzer)
		target_link_options(${target} PRIVATE -fsanitize=fuzzer)
	else()
		add_executable(${target} fuzz_${name}.c replay.c)
		target_compile_options(${target} PRIVATE ${RAVELIN_WARNINGS})
		add_test(NAME fuzz.${name} COMMAND ${target} ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
		set_tests_properties(fuzz.${name} PROPERTIES TIMEOUT 600)
	endif()
	target_link_libraries(${target} PRIVATE ${A_USES})
endfunction()

# rv_subdirectories(a b ...): those that exist, in this order.
function(rv_subdirectories)
	foreach(dir ${ARGN})
		if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/CMakeLists.txt)
			add_subdirectory(${dir})
		endif()
	endforeach()
endfunction()
