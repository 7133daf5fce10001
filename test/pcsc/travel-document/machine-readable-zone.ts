/** The machine readable zone of ICAO Doc 9303-11, appendix D.2, which the keys of the worked example come from. */
export const lines = [
  'P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<',
  'L898902C<3UTO6908061F9406236ZE184226B<<<<<14',
] as const;
