// The test library as one unit, so that the standard headers, which take most of the time, are compiled once.
#include "hip.cpp"
#include "modules.cpp"
#include "state.cpp"
#include "collectives.cpp"
#include "cuda.cpp"
#include "processes.cpp"
