/* base/version.h — the version all programs of a build carry, and the one workers and coordinators compare. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define GEMMAPIPE_VERSION "0.1.0"

#endif
