import type { DoorView } from './api.ts';

/** The door drawn from the front; the words beside it say the same, so it is hidden from assistive technology. */
export function DoorScene({ door }: { readonly door: DoorView }) {
  const kind = door.doorId === 'front' ? 'front' : 'inner';
  return (
    <div
      className="scene"
      data-kind={kind}
      data-open={door.contact === 'open'}
      data-strike={door.strike}
      data-alarm={door.alarm}
      aria-hidden="true"
    >
      {kind === 'front' ? <Facade /> : <Corridor />}
      <div className="doorway">
        <div className="beyond">{kind === 'front' ? <Lobby /> : <Racks />}</div>
        <div className="spill" />
        <div className="leaf">
          <div className="leaf-pane" />
          <div className="leaf-handle" />
        </div>
        <div className="strike-lamp" />
      </div>
      <div className="floor" />
    </div>
  );
}

function Facade() {
  return (
    <svg className="backdrop" aria-hidden="true" viewBox="0 0 400 300" preserveAspectRatio="xMidYMax slice">
      <rect className="wall" width="400" height="300" />
      <g className="wall-line">
        <path d="M0 60h400M0 120h400M0 180h400M0 240h400" />
        <path d="M60 0v60M180 0v60M300 0v60M0 60M120 60v60M240 60v60M360 60v60M60 120v60M300 120v60M360 180v60M240 180v60M60 240v60M300 240v60" />
      </g>
      <path className="canopy" d="M28 36h200l10 12H18z" />
      <g className="plant">
        <path d="M356 300v-58" />
        <ellipse cx="356" cy="222" rx="22" ry="30" />
        <ellipse cx="342" cy="242" rx="14" ry="18" />
        <ellipse cx="371" cy="244" rx="13" ry="17" />
        <path className="pot" d="M340 270h32l-5 30h-22z" />
      </g>
    </svg>
  );
}

function Corridor() {
  return (
    <svg className="backdrop" aria-hidden="true" viewBox="0 0 400 300" preserveAspectRatio="xMidYMax slice">
      <rect className="wall" width="400" height="300" />
      <rect className="dado" y="206" width="400" height="94" />
      <path className="rail" d="M0 206h400" />
      <g className="tray">
        <path d="M0 18h400M0 28h400" />
        <path d="M30 18v10M90 18v10M150 18v10M210 18v10M270 18v10M330 18v10M390 18v10" />
      </g>
      <g className="vent">
        <rect x="318" y="52" width="56" height="30" rx="3" />
        <path d="M324 60h44M324 67h44M324 74h44" />
      </g>
    </svg>
  );
}

function Lobby() {
  return (
    <svg aria-hidden="true" viewBox="0 0 130 230" preserveAspectRatio="xMidYMax slice">
      <rect className="lobby-wall" width="130" height="230" />
      <path className="lobby-floor" d="M0 168h130v62H0z" />
      <path className="lobby-light" d="M65 0v24M52 24h26l8 16H44z" />
      <rect className="lobby-desk" x="34" y="132" width="62" height="40" rx="3" />
      <rect className="lobby-top" x="29" y="127" width="72" height="7" rx="2" />
      <circle className="lobby-person" cx="65" cy="103" r="9" />
      <path className="lobby-person" d="M49 127c0-14 32-14 32 0z" />
      <rect className="lobby-frame" x="12" y="66" width="24" height="30" />
    </svg>
  );
}

function Racks() {
  const units = [0, 1, 2, 3, 4, 5, 6, 7];
  return (
    <svg aria-hidden="true" viewBox="0 0 130 230" preserveAspectRatio="xMidYMax slice">
      <rect className="room" width="130" height="230" />
      {[8, 70].map((x) => (
        <g key={x}>
          <rect className="rack" x={x} y="26" width="52" height="186" rx="3" />
          {units.map((unit) => (
            <g key={unit}>
              <rect className="rack-unit" x={x + 5} y={34 + unit * 22} width="42" height="16" rx="2" />
              <circle
                className="rack-led"
                data-beat={(unit * 3 + x) % 4}
                cx={x + 12}
                cy={42 + unit * 22}
                r="2"
              />
              <circle className="rack-led" data-beat={(unit + x) % 3} cx={x + 19} cy={42 + unit * 22} r="2" />
            </g>
          ))}
        </g>
      ))}
    </svg>
  );
}
