/* As base_c.c -DPOLY but SIMD across 16 grid points instead of across nodes: the ceiling for generated code.
 *   gcc -O3 -march=native -mprefer-vector-width=512 -ffast-math -fopenmp base_c_blk.c -o base_c_blk -lm
 *   ./base_c_blk GRID LAYERS NODES THREADS REPEATS PARITY [RULE 0=GH 1=trapezoid on |x|<=XMAX] [XMAX] [FILE]
 * FILE: the last layer's K, chi_parallel, chi_perpendicular, V, H of all points, as GRID*GRID*5 doubles. */
#define main main_ref
#define POLY
#include "base_c.c"
#undef main
#define P 16
#define restrict_ restrict
static void block(const double*Cb,const double*CW,double K0,int L,int n,const double*restrict x,const double*restrict w,const double*restrict wx,double*restrict o){
  double K[P],V[P],H[P],cpar[P],cperp[P],s[P],a[P],b[P],c[P],d[P];
  for(int p=0;p<P;p++){K[p]=H[p]=K0;V[p]=0;} /* lambda = C: the first layer has H = K */
  for(int l=0;l<L;l++){
    for(int p=0;p<P;p++){s[p]=sqrt(K[p]);a[p]=b[p]=c[p]=d[p]=0;}
    for(int i=0;i<n;i++){
      double xi=x[i],wi=w[i],wxi=wx[i];
      #pragma omp simd
      for(int p=0;p<P;p++){
        double t=mytanh(s[p]*xi),t2=t*t,q=1-t2;
        a[p]+=wi*t2;b[p]+=wxi*t2;c[p]+=wi*t2*t2;d[p]+=wi*q*q;
      }
    }
    #pragma omp simd
    for(int p=0;p<P;p++){
      cpar[p]=CW[p]*b[p]/(2*K[p]);cperp[p]=CW[p]*d[p];
      V[p]=cpar[p]*cpar[p]*V[p]+CW[p]*CW[p]*(c[p]-a[p]*a[p]);
      H[p]=Cb[p]+CW[p]*a[p]+cperp[p]*H[p];
      K[p]=Cb[p]+CW[p]*a[p]; K[p]=K[p]<1e-300?1e-300:K[p];
    }
  }
  for(int p=0;p<P;p++){o[5*p]=K[p];o[5*p+1]=cpar[p];o[5*p+2]=cperp[p];o[5*p+3]=V[p];o[5*p+4]=H[p];}
}
int main(int argc,char**argv){
  int G=argc>1?atoi(argv[1]):512,L=argc>2?atoi(argv[2]):50,N=argc>3?atoi(argv[3]):64,T=argc>4?atoi(argv[4]):1,R=argc>5?atoi(argv[5]):3,par=argc>6?atoi(argv[6]):0,rule=argc>7?atoi(argv[7]):0;
  double xmax=argc>8?atof(argv[8]):8.5;
  double *x=aligned_alloc(64,(N+8)*8),*w=aligned_alloc(64,(N+8)*8),*wx=aligned_alloc(64,(N+8)*8);
  double *X=malloc(N*8),*W=malloc(N*8);
  if(rule==0)hermite(N,X,W);
  else{double h=2*xmax/N;for(int i=0;i<N;i++){X[i]=-xmax+(i+.5)*h;W[i]=h*exp(-X[i]*X[i]/2)/sqrt(2*M_PI);}}
  int n=0;
  for(int i=0;i<N;i++) if(!par||X[i]>1e-12){x[n]=X[i];w[n]=W[i]*(par?2:1);wx[n]=w[n]*(X[i]*X[i]-1);n++;}
  omp_set_num_threads(T);
  double *res=malloc((size_t)G*G*5*8);
  memset(res,0,(size_t)G*G*5*8); /* pages are touched before the clock starts */
  for(int r=0;r<R;r++){
    double t=now(CLOCK_MONOTONIC),c=now(CLOCK_PROCESS_CPUTIME_ID);
    #pragma omp parallel for schedule(dynamic,4)
    for(int i=0;i<G;i++)for(int j=0;j<G;j+=P){
      double cb[P],cw[P];for(int p=0;p<P;p++){cb[p]=1.0*i/(G-1);cw[p]=0.5+2.5*(j+p)/(G-1);}
      block(cb,cw,1.0,L,n,x,w,wx,res+5*((size_t)i*G+j));
    }
    t=now(CLOCK_MONOTONIC)-t;c=now(CLOCK_PROCESS_CPUTIME_ID)-c;
    double pl=(double)G*G*L;
    printf("BLK rule %d grid %d layers %d nodes %d(used %d) threads %d: wall %.3f s cpu %.3f s  %.3g point-layers/s wall, %.3g /cpu-s  (%.2f ns/node cpu)  K[mid]=%.12g V[mid]=%.12g H[mid]=%.12g\n",
      rule,G,L,N,n,T,t,c,pl/t,pl/c,c/pl/n*1e9,res[5*((size_t)G/2*G+G/2)],res[5*((size_t)G/2*G+G/2)+3],res[5*((size_t)G/2*G+G/2)+4]);
  }
  if(argc>9){FILE*f=fopen(argv[9],"wb");if(!f||fwrite(res,8,(size_t)G*G*5,f)!=(size_t)G*G*5||fclose(f))return 1;}
  return 0;
}
